#include "reef/io/download.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "support/python_server.h"

namespace reef::io {
namespace {

constexpr std::size_t kBytes = 5 << 20;

/// A file on a server, and what a download makes of it here.
struct Fixture {
  test::TempDir dir;
  fs::path file = dir / "here";
  std::string content;
  std::unique_ptr<test::PythonServer> server;
  std::unique_ptr<HttpHelper> http;
  DownloadOptions options;

  explicit Fixture(const std::vector<std::string>& key = {}) {
    fs::create_directory(dir / "served");
    for (std::size_t i = 0; i < kBytes; ++i) content += static_cast<char>(i * 2654435761u >> 24);
    serve(content);
    std::vector<std::string> arguments{(dir / "served").string(), (dir / "faults").string()};
    arguments.insert(arguments.end(), key.begin(), key.end());
    server = std::make_unique<test::PythonServer>("model_server.py", arguments);
    http = std::make_unique<HttpHelper>(dir.path(), "a hint");
    options.url = server->address() + "/file";
    options.file = file;
    options.bytes = kBytes;
  }
  void serve(const std::string& bytes) const { std::ofstream(dir / "served/file", std::ios::binary) << bytes; }
  void fault(const std::string& json) const {
    std::ofstream(dir / "faults") << "[{\"path\": \"file\", " << json << "}]";
  }
  Downloaded run() const { return download(*http, options, no_progress()); }
  Error failure() const {
    try {
      run();
    } catch (const Error& error) {
      return error;
    }
    return {Errc::usage, "accepted"};
  }
  /// The helper's exit status for a plain request with `more` fields.
  int ask(const std::string& url, const std::string& more) const {
    replace_file(dir / "request",
                 fmt::format(R"({{"method": "GET", "url": "{}", "response_file": "{}", "timeout_ms": 20000, )"
                             R"("max_response_bytes": 10000000, {}}})",
                             url, file.string(), more));
    return run_process({helper_path("reef-http").string(), (dir / "request").string(), (dir / "result").string()}, {},
                       {})
        .status;
  }
  bool is_whole() const { return read_file(file) == content; }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("what is here counts only with its version, and as long as it can be a part") {
  CHECK(resume_at(0, false, 10) == 0);
  CHECK(resume_at(4, true, 10) == 4);
  CHECK(resume_at(4, false, 10) == 0);
  CHECK(resume_at(11, true, 10) == 0);
  CHECK(resume_at(10, true, 10) == std::nullopt);
  CHECK(resume_at(10, false, 10) == std::nullopt);
  CHECK(resume_at(0, false, 0) == std::nullopt);
  CHECK(resume_at(4, true, std::nullopt) == 4);
  CHECK(resume_at(4, false, std::nullopt) == 0);
}

TEST_CASE("a download that is cut off goes on where the file ends") {
  const Fixture f;
  f.fault(R"("do": "cut", "bytes": 2000000, "times": 2)");
  const Downloaded done = f.run();
  CHECK(f.is_whole());
  CHECK(done.bytes_earlier == 0);
  CHECK(done.bytes_received == kBytes);
  const auto requests = f.server->requests();
  REQUIRE(requests.size() == 3);
  CHECK(has(requests[1], R"("range": "bytes=2000000-")"));
  CHECK(has(requests[2], R"("range": "bytes=4000000-")"));
}

TEST_CASE("a later run goes on, and asks for nothing that is here") {
  const Fixture f;
  f.fault(R"("do": "status", "status": 404)");
  std::ofstream(f.file, std::ios::binary) << f.content;
  CHECK(f.run().bytes_earlier == kBytes);
  CHECK(f.server->requests().empty());
}

TEST_CASE("of a file of unknown size the server says whether it is whole") {
  Fixture f;
  f.options.bytes.reset();
  f.options.max_bytes = 2 * kBytes;
  CHECK(f.run().bytes_received == kBytes);
  CHECK(f.run().bytes_earlier == kBytes);  // 416
  CHECK(f.is_whole());
  f.options.max_bytes = 1000;
  fs::remove(f.file);
  CHECK(f.failure().code() == Errc::corrupt);
}

TEST_CASE("a file that changed meanwhile is begun anew, whatever the server makes of If-Range") {
  Fixture f;
  f.fault(R"("do": "cut", "bytes": 2000000, "times": 1}, {"path": "file", "do": "status", "status": 400)");
  CHECK(f.failure().code() == Errc::failed);
  CHECK(file_size(open_file(f.file, O_RDONLY).get(), f.file) == 2000000);
  f.content[kBytes - 1] ^= 1;
  f.serve(f.content);
  SUBCASE("it keeps to the rules") { fs::remove(f.dir / "faults"); }
  SUBCASE("it ignores If-Range") { f.fault(R"("do": "blind")"); }
  SUBCASE("it ignores Range, too") { f.fault(R"("do": "whole")"); }
  f.run();
  CHECK(f.is_whole());
}

TEST_CASE("without an ETag nothing is gone on with") {
  const Fixture f;
  f.fault(R"("do": "no-etag")");
  f.run();
  CHECK(f.is_whole());
  fs::resize_file(f.file, 1000);
  CHECK(f.run().bytes_earlier == 0);
  CHECK(f.is_whole());
  CHECK(has(f.server->requests().back(), R"("range": null)"));
}

TEST_CASE("where every attempt begins anew, the same bytes again are no progress") {
  const Fixture f;
  f.fault(R"("do": "cut", "bytes": 2000000, "no_etag": true)");
  CHECK(has(f.failure().what(), "(5 attempts)"));
  CHECK(f.server->requests().size() == 5);
}

TEST_CASE("a part that is shorter than was asked for is not the end") {
  Fixture f;
  f.fault(R"("do": "cut", "bytes": 600000, "times": 1}, {"path": "file", "do": "short", "bytes": 2000000, "times": 1)");
  f.options.bytes.reset();
  f.options.max_bytes = 10 << 20;
  f.run();
  CHECK(f.is_whole());
  CHECK(f.server->requests().size() == 3);
}

TEST_CASE(
    "what is here stays when the server loses the file for a while, and is whole where it says no more than that") {
  Fixture f;
  f.fault(R"("do": "cut", "bytes": 600000, "times": 1}, {"path": "file", "do": "status", "status": 404)");
  CHECK_FALSE(f.run().is_there);
  CHECK(fs::file_size(f.file) == 600000);
  f.fault(R"("do": "bare-416")");
  f.options.bytes.reset();
  f.options.max_bytes = 10 << 20;
  f.run();
  CHECK(f.is_whole());
  const std::size_t before = f.server->requests().size();
  CHECK(f.run().bytes_received == 0);
  CHECK(f.server->requests().size() == before + 1);
  CHECK(f.is_whole());
}

TEST_CASE("a server that is busy is asked again, and one that refuses is not") {
  const Fixture f;
  f.fault(R"("do": "status", "status": 503, "after": 0, "times": 2)");
  f.run();
  CHECK(f.server->requests().size() == 3);
  fs::remove(f.file);
  f.fault(R"("do": "status", "status": 400)");
  const Error error = f.failure();
  CHECK(has(error.what(), "status 400: something \\x1b[31mis wrong"));
  CHECK(f.server->requests().size() == 4);
}

TEST_CASE("a failure says how far it came and that the next run goes on") {
  const Fixture f;
  f.fault(R"("do": "cut", "bytes": 600000)");
  const Error error = f.failure();
  CHECK(error.code() == Errc::failed);
  CHECK(has(error.what(), "(5 attempts); 2.86 MiB of 5.00 MiB are here"));
  CHECK(has(error.hint(), "goes on from there"));
  fs::remove(f.dir / "faults");
  CHECK(f.run().bytes_earlier == 3000000);
  CHECK(f.is_whole());
}

TEST_CASE("a file of another size is refused before it comes") {
  Fixture f;
  f.options.bytes = kBytes + 1;
  CHECK(f.failure().code() == Errc::corrupt);
  CHECK(file_size(open_file(f.file, O_RDONLY).get(), f.file) == 0);
}

TEST_CASE("a file that is not there is an answer, and 403 is one where that was asked for") {
  Fixture f;
  f.options.url = f.server->address() + "/none";
  CHECK_FALSE(f.run().is_there);
  f.options.url = f.server->address() + "/file";
  f.fault(R"("do": "status", "status": 403)");
  CHECK(f.failure().code() == Errc::failed);
  f.options.may_be_absent = true;
  CHECK_FALSE(f.run().is_there);
  CHECK_FALSE(fs::exists(f.file));
}

TEST_CASE("redirects are followed ten times at most") {
  const Fixture f;
  f.fault(R"("do": "redirect", "to": "/moved/../file", "times": 3)");
  f.run();
  CHECK(f.is_whole());
  fs::remove(f.file);
  f.fault(R"("do": "redirect", "to": "/file")");
  CHECK(has(f.failure().what(), "more than 10 redirects"));
}

TEST_CASE("a transfer that stalls ends") {
  const Fixture f;
  f.fault(R"("do": "hold", "bytes": 1000)");
  HttpDownload wanted;
  wanted.url = f.options.url;
  wanted.file = f.file;
  wanted.bytes = kBytes;
  wanted.stall = std::chrono::seconds(1);
  const HttpReply reply = f.http->download(wanted, {});
  CHECK(reply.kind == "timeout");
  CHECK(reply.received_bytes == 1000);
}

TEST_CASE("requests to a store are signed, and a wrong key is refused with what to check") {
  Fixture f({"id-1:se/cret+1", "eu-test-1"});
  f.options.sigv4 = SigV4{"eu-test-1", f.dir / "key"};
  f.options.on_refused = "check the key";
  std::ofstream(f.dir / "key") << "id-1\nse/cret+1\n";
  f.fault(R"("do": "cut", "bytes": 2000000, "times": 1)");
  f.run();
  CHECK(f.is_whole());
  fs::remove(f.file);
  std::ofstream(f.dir / "key") << "id-1\r\nother\r\n";
  Error error = f.failure();
  CHECK(has(error.what(), "status 403: <Error><Code>SignatureDoesNotMatch"));
  CHECK(error.hint() == "check the key");
  f.options.sigv4->region = "us-east-1";
  CHECK(has(f.failure().what(), "region us-east-1"));
  std::ofstream(f.dir / "key") << "id-1\n";
  error = f.failure();
  CHECK(error.code() == Errc::usage);
  CHECK(has(error.what(), "holds no key id and secret key"));
  CHECK(error.hint() == "a hint");
}

TEST_CASE("a redirect to another host takes no key along, and the query of a signed request is sorted") {
  const Fixture f, other;
  std::ofstream(f.dir / "key") << "secret\n";
  f.fault(R"("do": "redirect", "to": ")" + other.options.url + R"(", "times": 1)");
  CHECK(f.ask(f.options.url, fmt::format(R"("follow_redirects": true, "key_file": "{}")", (f.dir / "key").string())) ==
        0);
  CHECK(has(f.server->requests().back(), R"("authorization": true)"));
  CHECK(has(other.server->requests().back(), R"("authorization": false)"));
  const Fixture store({"id-1:secret", "eu-test-1"});
  std::ofstream(store.dir / "key") << "id-1\nsecret\n";
  const std::string sigv4 =
      fmt::format(R"("sigv4": {{"region": "eu-test-1", "key_file": "{}"}})", (store.dir / "key").string());
  CHECK(store.ask(store.options.url + "?uploads&b=2&a=1", sigv4) == 0);
  CHECK(has(read_file(store.dir / "result"), R"("status":200)"));
  CHECK(store.ask(store.options.url, R"("sigv4": {"region": "eu:x", "key_file": "/dev/null"})") == 2);
}

TEST_CASE("a folder in the place of the file is said, not tried again") {
  const Fixture f;
  fs::create_directory(f.file);
  CHECK_THROWS_AS(f.run(), Error);
}

}  // namespace reef::io
