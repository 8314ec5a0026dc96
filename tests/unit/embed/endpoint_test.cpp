#include "reef/embed/endpoint.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/embed/internal/embedding_protocol.h"
#include "reef/io/json_service.h"
#include "reef/io/process.h"
#include "support/python_server.h"
#include "support/temp_dir.h"

namespace reef::embed {
namespace {

using namespace std::chrono_literals;
using test::TempDir;

constexpr std::size_t kDim = 8;

/// tests/support/embedding_server.py for the time of one test.
class Server : public test::PythonServer {
 public:
  Server() : PythonServer("embedding_server.py") {}

  EndpointOptions options(const std::string& model) const {
    EndpointOptions options;
    options.url = address() + "/v1/embeddings";
    options.model = model;
    options.dim = kDim;
    options.scratch = dir() / "scratch";
    return options;
  }
  std::unique_ptr<Embedder> open(const std::string& model) const { return open_endpoint(options(model)); }
};

std::vector<float> passages(Embedder& embedder, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> out(texts.size() * kDim);
  embedder.embed_passages(views, out, 2, no_progress());
  return out;
}

Error failure(const EndpointOptions& options) {
  try {
    const auto embedder = open_endpoint(options);
    passages(*embedder, {"one", "two"});
  } catch (const Error& e) {
    return e;
  }
  return {Errc::failed, "accepted"};
}

bool has_helper() {
  try {
    static_cast<void>(io::helper_path("reef-http"));
    return true;
  } catch (const Error&) {
    MESSAGE("reef-http is not built: tests of the endpoint are skipped");
    return false;
  }
}

TEST_CASE("an endpoint gives unit vectors in the order of the texts, however the service writes them") {
  if (!has_helper()) return;
  const Server server;
  const auto plain = server.open("plain");
  const std::vector<float> expected = passages(*plain, {"one", "two", "three"});
  for (std::size_t row = 0; row < 3; ++row) {
    double squares = 0;
    for (std::size_t i = 0; i < kDim; ++i) squares += std::pow(expected[row * kDim + i], 2);
    CHECK(squares == doctest::Approx(1));
  }
  CHECK(passages(*server.open("reversed"), {"one", "two", "three"}) == expected);
  CHECK(passages(*server.open("no-index"), {"one", "two", "three"}) == expected);
  const std::vector<float> packed = passages(*server.open("base64"), {"one", "two", "three"});
  for (std::size_t i = 0; i < packed.size(); ++i) CHECK(packed[i] == doctest::Approx(expected[i]).epsilon(1e-6));

  std::vector<float> query(kDim);
  plain->embed_query("two", query);
  CHECK(query == std::vector<float>(expected.begin() + kDim, expected.begin() + 2 * kDim));
  CHECK(std::filesystem::exists(server.dir() / "scratch"));
}

TEST_CASE("prefixes are sent, broken UTF-8 is replaced, files of requests are removed") {
  if (!has_helper()) return;
  const Server server;
  {
    EndpointOptions options = server.options("plain");
    options.query_prefix = "query: ";
    options.passage_prefix = "passage: ";
    const auto embedder = open_endpoint(options);
    std::vector<float> query(kDim);
    embedder->embed_query("q\xff", query);
    passages(*embedder, {"p"});
  }
  const std::vector<std::string> requests = server.requests();
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].ends_with(R"("first": "query: q\ufffd"})"));
  CHECK(requests[1].ends_with(R"("first": "passage: p"})"));
  CHECK(std::filesystem::is_empty(server.dir() / "scratch"));
}

TEST_CASE("many texts go in batches and give the same bytes as one by one") {
  if (!has_helper()) return;
  const Server server;
  const auto embedder = server.open("plain");
  std::vector<std::string> texts;
  for (int i = 0; i < 130; ++i) texts.push_back("text " + std::to_string(i));
  const std::vector<float> all = passages(*embedder, texts);
  const std::vector<std::string> requests = server.requests();
  REQUIRE(requests.size() == 3);
  CHECK(requests[0].find("\"texts\": 64,") != std::string::npos);
  CHECK(requests[2].find("\"texts\": 2,") != std::string::npos);
  CHECK(passages(*embedder, {texts[100]}) == std::vector<float>(all.begin() + 100 * kDim, all.begin() + 101 * kDim));
}

TEST_CASE("an unknown dimension is asked for") {
  if (!has_helper()) return;
  const Server server;
  EndpointOptions options = server.options("plain");
  options.dim = 0;
  CHECK(open_endpoint(options)->identity().dim == kDim);
  CHECK(open_endpoint(options)->identity().digest == server.open("plain")->identity().digest);
  CHECK(open_endpoint(options)->identity().digest != server.open("base64")->identity().digest);
}

TEST_CASE("busy, broken and absent services") {
  if (!has_helper()) return;
  const Server server;
  CHECK(passages(*server.open("busy-twice"), {"x"}).size() == kDim);
  CHECK(passages(*server.open("hangs-up-once"), {"x"}).size() == kDim);

  const Error down = failure(server.options("down"));
  CHECK(down.code() == Errc::failed);
  CHECK(std::string(down.what()).ends_with("/v1/embeddings: status 503: loading (4 attempts)"));
  const Error absent = failure(server.options("absent"));
  CHECK(std::string(absent.what()).ends_with("status 404: no such model"));
  CHECK(absent.hint().find("endpoints.embedding.model") != std::string::npos);
  CHECK(std::string(failure(server.options("moved")).what()).ends_with("status 302"));

  EndpointOptions nobody = server.options("plain");
  nobody.url = "http://127.0.0.1:1/v1/embeddings";
  CHECK(failure(nobody).hint().starts_with("is the service running?"));

  EndpointOptions slow = server.options("slow");
  slow.timeout = 300ms;
  const Error late = failure(slow);
  CHECK(late.hint().starts_with("is the model still loading?"));
  CHECK(std::string(late.what()).find("attempts") == std::string::npos);
}

TEST_CASE("the key comes from its file and nothing else") {
  if (!has_helper()) return;
  const Server server;
  EndpointOptions options = server.options("locked");
  const Error without = failure(options);
  CHECK(std::string(without.what()).ends_with("status 401: bad \\x1b[31mkey"));
  CHECK(without.hint().find("wants a key") != std::string::npos);
  options.key_file = server.dir() / "key";
  CHECK(failure(options).code() == Errc::usage);  // no such file
  std::ofstream(options.key_file) << "\n";
  CHECK(std::string(failure(options).what()).find("holds no key") != std::string::npos);
  std::ofstream(options.key_file) << "wrong\n";
  CHECK(failure(options).hint().starts_with("check the key in "));
  std::ofstream(options.key_file) << "secret-for-tests\nsecond line\n";
  CHECK(passages(*open_endpoint(options), {"x"}).size() == kDim);
}

TEST_CASE("answers that are wrong are corrupt, not stored") {
  if (!has_helper()) return;
  const Server server;
  const auto message = [&](const char* model) {
    const Error error = failure(server.options(model));
    CHECK(error.code() == Errc::corrupt);
    const std::string what = error.what();
    return what.substr(what.find("embeddings: ") + 12);
  };
  CHECK(message("no-json") == "the answer is no JSON");
  CHECK(message("too-few") == "1 vectors came for 2 texts");
  CHECK(message("doubled") == "index 0 came twice");
  CHECK(message("short-vector") == "a vector of 7 dimensions came where 8 are expected");
  CHECK(message("zero") == "a vector has no direction (zero, or not finite)");
  CHECK(std::string(failure(server.options("huge")).what()).ends_with("the answer is longer than allowed"));
}

TEST_CASE("a signal ends the waiting") {
  if (!has_helper()) return;
  const Server server;
  pending_signal = SIGINT;
  CHECK(failure(server.options("down")).code() == Errc::interrupted);
  pending_signal = 0;
}

TEST_CASE("options of an endpoint are checked before anything is sent") {
  const TempDir dir;
  EndpointOptions options;
  options.scratch = dir.path();
  options.model = "m";
  options.url = "ftp://127.0.0.1/";
  CHECK(failure(options).code() == Errc::usage);
  options.url = "http://127.0.0.1:1/";
  options.model = "";
  CHECK(failure(options).code() == Errc::usage);
}

TEST_CASE("tokens of an endpoint are estimated, and add up over white space") {
  if (!has_helper()) return;
  const TempDir dir;
  EndpointOptions options;
  options.url = "http://127.0.0.1:1/";
  options.model = "m";
  options.dim = kDim;
  options.scratch = dir.path();
  options.passage_prefix = "passage: ";
  const auto embedder = open_endpoint(options);
  CHECK(embedder->count_tokens("") == 0);
  CHECK(embedder->count_tokens("a  bcde\nfghij") == 4);
  CHECK(embedder->count_tokens("a bcde") + embedder->count_tokens("fghij") == 4);
  CHECK(embedder->passage_tokens() == 508);
}

TEST_CASE("batches keep to both limits and never stop at nothing") {
  const std::string large(60'000, 'x');
  const std::string larger(200'000, 'x');
  const std::vector<std::string_view> texts = {large, large, larger, "a"};
  const std::span<const std::string_view> all(texts);
  CHECK(internal::batch_size(all) == 1);
  CHECK(internal::batch_size(all.subspan(2)) == 1);
  CHECK(internal::batch_size(all.subspan(3)) == 1);
  CHECK(internal::batch_size(all.first(0)) == 0);
  CHECK(internal::batch_size(std::vector<std::string_view>(100, "a")) == internal::kBatchTexts);
}

TEST_CASE("answers are read strictly") {
  std::vector<float> out(2);
  const auto read = [&](std::string_view answer) { internal::read_vectors(answer, "s", 1, 2, out); };
  read(R"({"data":[{"index":0,"embedding":[3,4]}]})");
  CHECK(out == std::vector<float>{0.6F, 0.8F});
  read(R"({"data":[{"embedding":"AABAQAAAgEA="}]})");  // 3, 4 as float32
  CHECK(out == std::vector<float>{0.6F, 0.8F});
  for (const char* wrong :
       {"", "[]", "{}", R"({"data":[1]})", R"({"data":[{}]})", R"({"data":[{"embedding":[1,"2"]}]})",
        R"({"data":[{"embedding":[1,1e300]}]})", R"({"data":[{"embedding":"AABAQAAAgEA"}]})",
        R"({"data":[{"embedding":"AABAQAAA*EA="}]})", R"({"data":[{"index":1,"embedding":[3,4]}]})",
        R"({"data":[{"index":-1,"embedding":[3,4]}]})", R"({"data":[{"embedding":"AADAfwAAgEA="}]})"}) {
    CHECK_THROWS_AS(read(wrong), Error);
  }
  CHECK(internal::read_dimension(R"({"data":[{"embedding":[1,2,3]}]})", "s") == 3);
  CHECK_THROWS_AS(static_cast<void>(internal::read_dimension(R"({"data":[]})", "s")), Error);
  CHECK(io::service_message(R"({"error":{"message":"no"}})") == "no");
  CHECK(io::service_message("<html>") == "");
}

}  // namespace
}  // namespace reef::embed
