#include "reef/io/s3_store.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/python_server.h"

namespace reef::io {
namespace {

constexpr std::uint64_t kPart = 100'000;  // the server here takes any

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string bytes_of(std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(i * 2654435761u >> 24);
  return bytes;
}

struct Fixture {
  test::TempDir dir;
  std::unique_ptr<test::PythonServer> server;
  S3Place place;
  S3Options options;

  Fixture() {
    fs::create_directory(dir / "scratch");
    server = std::make_unique<test::PythonServer>(
        "s3_server.py", std::vector<std::string>{(dir / "faults").string(), "id:secret", "eu-central-1"});
    place = {"backup.tier3", server->address(), "tower", "reef", {"eu-central-1", dir / "key"}};
    key("id\nsecret\n");
    options.part_bytes = kPart;
    options.attempts = 2;
  }
  void key(const std::string& text) const { replace_file(dir / "key", text, 0600); }
  void fault(const std::string& json) const { replace_file(dir / "faults", json.empty() ? "[]" : "[{" + json + "}]"); }
  S3Store store() const { return {place, dir / "scratch", options}; }
  fs::path file(const std::string& bytes) const {
    replace_file(dir / "file", bytes);
    return dir / "file";
  }
  void put_file(const std::string& key, const std::string& bytes) const {
    store().put_file(key, file(bytes), io::sha256(bytes), no_progress());
  }
  std::size_t requests(const std::string& part) const {
    const auto all = server->requests();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const std::string& line) { return has(line, part); }));
  }
  std::size_t records() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(dir / "scratch")) count += entry.path().extension() == ".upload";
    return count;
  }
  std::string stored(const std::string& key) const { return store().get(key, 10 << 20); }
};

template <typename Body>
Error failure_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return {Errc::usage, "accepted"};
}

std::string keys_of(const std::vector<StoredObject>& objects) {
  std::string text;
  for (const StoredObject& object : objects) text += object.key + ":" + std::to_string(object.bytes) + " ";
  return text;
}

struct Counted : Progress {
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t count) override { bytes += count; }
  void end() override {}
  std::uint64_t bytes = 0;
};

}  // namespace

TEST_CASE("a bucket is a store: objects are put, found, listed, read and removed, each request signed") {
  const Fixture f;
  S3Store store = f.store();
  CHECK(store.name() == "s3://tower/reef");
  CHECK_FALSE(store.local_path("a"));
  CHECK(store.list("").empty());
  CHECK_FALSE(store.find("a/b"));
  store.put("a/b", "first");
  store.put("a/b", "second");
  store.put("a/b-c", "");
  store.put("z", "12");
  CHECK(store.find("a/b") == 6);
  CHECK(store.find("a/b-c") == 0);
  CHECK(store.get("a/b", 6) == "second");
  CHECK(store.get("a/b-c", 0).empty());
  CHECK(keys_of(store.list("")) == "a/b:6 a/b-c:0 z:2 ");
  CHECK(keys_of(store.list("a/")) == "a/b:6 a/b-c:0 ");
  f.fault(R"("path": "list-type", "do": "page", "bytes": 1)");
  CHECK(keys_of(store.list("")) == "a/b:6 a/b-c:0 z:2 ");
  CHECK(failure_of([&] { store.get("a/b", 5); }).code() == Errc::corrupt);
  CHECK(failure_of([&] { store.get("absent", 5); }).code() == Errc::not_found);
  store.remove("a/b");
  store.remove("a/b");
  CHECK(keys_of(store.list("a/b")) == "a/b-c:0 ");
  CHECK_THROWS_AS(store.put("../a", ""), std::logic_error);
  CHECK_THROWS_AS(store.find(".a"), std::logic_error);
  // What others keep in the bucket is not the store's.
  S3Place all = f.place;
  all.prefix = "";
  S3Store whole(all, f.dir / "scratch", f.options);
  whole.put("reef-other/x", "1");
  CHECK(keys_of(whole.list("reef-")) == "reef-other/x:1 ");
  CHECK(keys_of(store.list("")) == "a/b-c:0 z:2 ");
}

TEST_CASE("ranges are read in pieces, and only those that are there, of one version") {
  const Fixture f;
  const std::string bytes = bytes_of(300'000);
  f.put_file("a", bytes);
  const auto part = [&](std::uint64_t offset, std::uint64_t count) {
    std::string found;
    f.store().read("a", offset, count,
                   [&](auto piece) { found.append(reinterpret_cast<const char*>(piece.data()), piece.size()); });
    return found;
  };
  CHECK(part(0, 300'000) == bytes);
  CHECK(part(299'999, 1) == bytes.substr(299'999));
  CHECK(part(7, 0).empty());
  CHECK(failure_of([&] { part(299'999, 2); }).code() == Errc::corrupt);
  CHECK(failure_of([&] { part(300'000, 1); }).code() == Errc::corrupt);
  CHECK(failure_of([&] { f.store().read("b", 0, 1, [](auto) {}); }).code() == Errc::not_found);
  f.fault(R"("do": "short")");
  CHECK(failure_of([&] { part(0, 10); }).code() == Errc::failed);
  f.fault(R"("do": "cut", "times": 1)");
  CHECK(part(0, 300'000) == bytes);
  f.fault(R"("do": "cut")");
  CHECK(failure_of([&] { part(0, 300'000); }).code() == Errc::failed);
}

TEST_CASE("a large file is sent in parts, with the progress of each") {
  const Fixture f;
  Counted progress;
  for (const std::size_t size : {std::size_t{1}, std::size_t{kPart}, std::size_t{kPart} + 1, std::size_t{350'000}}) {
    const std::string bytes = bytes_of(size);
    progress.bytes = 0;
    f.store().put_file("models/a", f.file(bytes), io::sha256(bytes), progress);
    CHECK(progress.bytes == size);
    CHECK(f.stored("models/a") == bytes);
    CHECK(f.records() == 0);
  }
  CHECK(f.requests("uploads=") == 2);
  CHECK(f.requests("partNumber=4") == 1);
  f.put_file("empty", "");
  CHECK(f.store().find("empty") == 0);

  f.store().get_file("models/a", f.dir / "back", io::sha256(bytes_of(350'000)), no_progress());
  CHECK(read_file(f.dir / "back") == bytes_of(350'000));
  CHECK(failure_of([&] { f.store().get_file("models/a", f.dir / "x", io::sha256("other"), no_progress()); }).code() ==
        Errc::corrupt);
  CHECK_FALSE(fs::exists(f.dir / "x"));
  CHECK(failure_of([&] { f.store().get_file("b", f.dir / "x", {}, no_progress()); }).code() == Errc::not_found);
}

TEST_CASE("an upload that was broken off is gone on with: only what is missing is sent") {
  const Fixture f;
  const std::string bytes = bytes_of(450'000);
  f.fault(R"("path": "partNumber=3", "do": "drop")");
  const Error error = failure_of([&] { f.put_file("a", bytes); });
  CHECK(error.code() == Errc::failed);
  CHECK(has(error.what(), f.server->address() + "/tower/reef/a: "));
  CHECK(has(error.what(), "(2 attempts)"));
  CHECK(has(error.hint(), "goes on from there"));
  CHECK(f.records() == 1);
  CHECK_FALSE(f.store().find("a"));
  f.fault("");
  const auto before = f.requests("PUT /tower");
  SUBCASE("as it was") {
    f.put_file("a", bytes);
    CHECK(f.requests("PUT /tower") == before + 3);
    CHECK(f.requests("uploads=") == 1);
  }
  SUBCASE("listed page by page") {
    f.fault(R"("method": "GET", "path": "uploadId", "do": "page", "bytes": 1)");
    f.put_file("a", bytes);
    CHECK(f.requests("PUT /tower") == before + 3);
  }
  SUBCASE("another file is not mixed with it") {
    std::string other = bytes;
    other[5] = 'x';
    f.put_file("a", other);
    CHECK(f.requests("PUT /tower") == before + 5);
    CHECK(f.requests("DELETE /tower") == 1);
    CHECK(f.stored("a") == other);
    f.put_file("a", bytes);
  }
  SUBCASE("a part that the service has otherwise than noted is sent again") {
    std::string text;
    for (const auto& entry : fs::directory_iterator(f.dir / "scratch")) text = entry.path();
    fs::resize_file(text, fs::file_size(text) - 1);  // the line of part 2
    f.put_file("a", bytes);
    CHECK(f.requests("PUT /tower") == before + 4);
  }
  SUBCASE("the service has forgotten it") {
    f.fault(R"("path": "uploadId", "do": "forget", "times": 1)");
    f.put_file("a", bytes);
    CHECK(f.requests("PUT /tower") == before + 5);
    CHECK(f.requests("uploads=") == 2);
  }
  SUBCASE("the record is gone: a new one") {
    fs::remove_all(f.dir / "scratch");
    fs::create_directory(f.dir / "scratch");
    f.put_file("a", bytes);
    CHECK(f.requests("PUT /tower") == before + 5);
  }
  if (!f.store().find("a")) FAIL("not there");
  if (f.stored("a").size() != bytes.size()) FAIL("not whole");
  CHECK(f.records() == 0);
}

TEST_CASE("faults that pass are met with another try") {
  const Fixture f;
  const std::string bytes = bytes_of(250'000);
  for (const char* fault : {
           R"("method": "PUT", "do": "drop", "times": 1)",
           R"("method": "PUT", "do": "drop-late", "times": 1)",
           R"("method": "PUT", "do": "status", "status": 503, "code": "SlowDown", "after": 0, "times": 1)",
           R"("method": "PUT", "do": "status", "status": 500, "times": 1)",
           R"("method": "PUT", "do": "status", "status": 400, "code": "RequestTimeout", "times": 1)",
           R"("method": "PUT", "do": "status", "status": 400, "code": "BadDigest", "times": 1)",
           R"("method": "POST", "path": "uploads=", "do": "drop", "times": 1)",
           R"("method": "POST", "path": "uploadId", "do": "drop", "times": 1)",
           R"("method": "POST", "path": "uploadId", "do": "drop-late", "times": 1)",
           R"("method": "POST", "path": "uploadId", "do": "late", "status": 500, "code": "InternalError", "times": 1)",
           R"("method": "POST", "path": "uploadId", "do": "late", "status": 200, "code": "InternalError", "times": 1)",
           R"("method": "POST", "path": "uploadId", "do": "status", "status": 200, "code": "SlowDown", "times": 1)",
           R"("method": "HEAD", "do": "drop", "times": 1)",
           R"("do": "silent")",
       }) {
    f.fault(fault);
    f.store().remove("a");
    const Error error = failure_of([&] { f.put_file("a", bytes); });
    CHECK_MESSAGE(std::string(error.what()) == "accepted", fault);
    f.fault("");
    CHECK(f.stored("a") == bytes);
    CHECK(f.records() == 0);
  }
}

TEST_CASE("faults that last end with the service's own words and what to look at") {
  const Fixture f;
  struct Case {
    const char* fault;
    Errc code;
    const char* what;
    const char* hint;
  };
  for (const Case& wanted : std::initializer_list<Case>{
           {R"("do": "status", "status": 503, "code": "SlowDown")", Errc::failed, "SlowDown: Something \\x1b[31mis",
            "log"},
           {R"("do": "status", "status": 502)", Errc::failed, "status 502 (2 attempts)", "log"},
           {R"("do": "status", "status": 501, "code": "NotImplemented")", Errc::failed, "NotImplemented", "log"},
           {R"("do": "status", "status": 507)", Errc::failed, "status 507", "reef-backup prune"},
           {R"("do": "status", "status": 403, "code": "QuotaExceeded")", Errc::failed, "QuotaExceeded", "quota"},
           {R"("do": "status", "status": 403, "code": "AccessDenied")", Errc::failed, "AccessDenied",
            "what it is allowed"},
           {R"("do": "status", "status": 404, "code": "NoSuchBucket")", Errc::failed, "NoSuchBucket",
            "make the bucket"},
           {R"("do": "status", "status": 301, "code": "PermanentRedirect", "region": "eu-west-1")", Errc::failed,
            "PermanentRedirect", "region and .endpoint in system.yaml; the service's is eu-west-1"},
           {R"("do": "status", "status": 403, "code": "RequestTimeTooSkewed", "skew": 7200)", Errc::failed,
            "the clock of this machine is 2 h", "set the clock"},
           {R"("do": "status", "status": 403, "code": "AccessDenied", "skew": -7200)", Errc::failed,
            "ahead of the service's", "set the clock"},
           {R"("method": "PUT", "do": "status", "status": 400, "code": "BadDigest")", Errc::failed, "BadDigest", ""},
           {R"("method": "PUT", "do": "flip")", Errc::usage, "accepted", ""},  // the checksum it tells is that sent
           {R"("method": "PUT", "do": "short")", Errc::failed, "10 bytes were sent, 9 are there",
            "keeps something else"},
       }) {
    f.fault(wanted.fault);
    const Error error = failure_of([&] { f.store().put("a", "0123456789"); });
    INFO(wanted.fault, " ", error.what(), " ", error.hint());
    CHECK(error.code() == wanted.code);
    CHECK(has(error.what(), wanted.what));
    CHECK(has(error.hint(), wanted.hint));
    CHECK_FALSE(has(std::string(error.what()) + error.hint(), "secret\n"));
  }
  f.fault(R"("do": "body", "text": "<html>Welcome</html>")");
  CHECK(has(failure_of([&] { f.store().list(""); }).what(), "none that an S3 service gives"));
  f.fault(R"("do": "body", "text": "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")");
  CHECK(failure_of([&] { f.store().list(""); }).code() == Errc::failed);
}

TEST_CASE("what the service keeps otherwise is found out") {
  Fixture f;
  const std::string bytes = bytes_of(250'000);
  f.fault(R"("path": "partNumber=2", "do": "short")");
  CHECK(failure_of([&] { f.put_file("a", bytes); }).code() == Errc::failed);
  f.store().clean_up();
  f.options.reads_back = true;
  f.fault(R"("method": "PUT", "do": "flip")");
  const Error error = failure_of([&] { f.put_file("b", bytes_of(10)); });
  CHECK(has(error.what(), "sha256 is"));
  // A wrong ETag proves nothing, but its part is refused at the end.
  f.fault(R"("path": "partNumber=2", "do": "etag")");
  CHECK(has(failure_of([&] { f.put_file("c", bytes); }).what(), "InvalidPart"));
  // An answer that was lost for good: what is there is read back.
  f.options.reads_back = false;
  f.fault(R"("method": "POST", "path": "uploadId", "do": "drop-late", "times": 1)");
  const auto reads = f.requests("GET /tower/reef/d");
  f.put_file("d", bytes);
  CHECK(f.requests("GET /tower/reef/d") > reads);
  // Of a file that is another than promised nothing is stored.
  f.fault("");
  for (const std::size_t size : {std::size_t{10}, bytes.size()}) {
    const Error changed =
        failure_of([&] { f.store().put_file("e", f.file(bytes_of(size)), io::sha256("other"), no_progress()); });
    CHECK(changed.code() == Errc::failed);
    CHECK_FALSE(f.store().find("e"));
  }
  CHECK(f.requests("DELETE /tower/reef/e") == 1);
}

TEST_CASE("keys that do not fit name the file and the line") {
  Fixture f;
  f.key("id\nwrong\n");
  Error error = failure_of([&] { f.store().list(""); });
  CHECK(error.code() == Errc::failed);
  CHECK(has(error.what(), "SignatureDoesNotMatch"));
  CHECK(has(error.hint(), "line 2 of " + (f.dir / "key").string() + " (backup.tier3.key_file)"));
  CHECK(has(failure_of([&] { f.store().find("a"); }).what(), "SignatureDoesNotMatch"));  // HEAD alone tells 403
  f.key("other\nsecret\n");
  error = failure_of([&] { f.store().put("a", "b"); });
  CHECK(has(error.hint(), "line 1 of "));
  f.key("id\n");
  CHECK(failure_of([&] { f.store().list(""); }).code() == Errc::usage);
  f.key("id\nsecret\n");
  ::chmod((f.dir / "key").c_str(), 0640);
  error = failure_of([&] { f.store(); });
  CHECK(error.code() == Errc::usage);
  CHECK(has(error.what(), "mode 0640"));
  CHECK(has(error.hint(), "chmod 600"));
  fs::remove(f.dir / "key");
  CHECK(failure_of([&] { f.store(); }).code() == Errc::usage);
  f.key("id\nsecret\n");
  f.place.sigv4.region = "us-east-1";
  error = failure_of([&] { f.store().list(""); });
  CHECK(has(error.hint(), "the service's is eu-central-1"));
}

TEST_CASE("places that can be none are refused before anything is sent") {
  const Fixture f;
  const auto refused = [&](const auto& change) {
    S3Place place = f.place;
    change(place);
    return failure_of([&] { place.require_usable(); }).code() == Errc::usage &&
           !has(failure_of([&] { place.require_usable(); }).what(), "accepted");
  };
  CHECK_FALSE(refused([](S3Place&) {}));
  CHECK_FALSE(refused([](S3Place& place) { place.prefix = ""; }));
  CHECK(refused([](S3Place& place) { place.endpoint = "ftp://x"; }));
  CHECK(refused([](S3Place& place) { place.bucket = ""; }));
  CHECK(refused([](S3Place& place) { place.bucket = "a b c"; }));
  CHECK(refused([](S3Place& place) { place.prefix = "a b"; }));
  CHECK(refused([](S3Place& place) { place.prefix = "/a"; }));
  CHECK(refused([](S3Place& place) { place.sigv4.key_file = ""; }));
}

TEST_CASE("a service that is gone or does not answer ends a run in bounded time") {
  Fixture f;
  f.options.stall = std::chrono::seconds(1);
  f.options.attempts = 1;
  f.fault(R"("do": "hold")");
  Error error = failure_of([&] { f.store().put("a", "b"); });
  CHECK(error.code() == Errc::failed);
  CHECK(has(error.hint(), "run the command again"));
  f.place.endpoint = "http://127.0.0.1:1";
  error = failure_of([&] { f.store().put("a", "b"); });
  CHECK(has(error.hint(), "is the service running? backup.tier3.endpoint"));
}

TEST_CASE("uploads that nobody goes on with are ended after a day") {
  const Fixture f;
  const std::string bytes = bytes_of(250'000);
  const auto begin = [&](const std::string& key, int age) {
    f.fault(fmt::format(R"("path": "uploads=", "do": "", "age": {}}}, {{"path": "uploadId", "do": "drop")", age));
    failure_of([&] { f.put_file(key, bytes); });
    f.fault("");
  };
  const auto ended = [&](const std::string& key) { return f.requests("DELETE /tower/reef/" + key + "?") == 1; };
  begin("old", 100'000);
  begin("young", 1'000);
  CHECK(f.records() == 2);
  f.store().clean_up();
  CHECK_FALSE(ended("old"));  // its record is here
  for (const auto& entry : fs::directory_iterator(f.dir / "scratch"))
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(24 * 9));
  f.store().clean_up();
  CHECK(ended("old"));
  CHECK_FALSE(ended("young"));
  CHECK(f.records() == 1);
  fs::remove_all(f.dir / "scratch");
  fs::create_directory(f.dir / "scratch");
  begin("lost", 100'000);
  fs::remove_all(f.dir / "scratch");
  fs::create_directory(f.dir / "scratch");
  f.store().clean_up();
  CHECK(ended("lost"));
}

}  // namespace reef::io
