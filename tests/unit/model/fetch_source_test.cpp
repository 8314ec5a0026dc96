#include "reef/model/internal/fetch_source.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"

namespace reef::model::internal {
namespace {

using Form = FetchSource::Form;

const tree::Tree kTree = tree::Tree::at("/tree");

FetchSource parsed(const std::string& text, const std::string& system = "") {
  return parse_fetch_source(text, "/here", kTree, tree::Config::parse("system", system, "system.yaml"));
}

Error refusal(const std::string& text, const std::string& system = "") {
  try {
    parsed(text, system);
  } catch (const Error& error) {
    return error;
  }
  return {Errc::failed, "accepted"};
}

constexpr const char* kStore =
    "backup:\n  tier3:\n    to: s3://keep/reef\n    endpoint: http://127.0.0.1:8333\n    region: eu-1\n    key_file: "
    "key\n";

}  // namespace

TEST_CASE("a path is for import, relative to where it was written") {
  CHECK(parsed("models/x").form == Form::import);
  CHECK(parsed("models/x").path == "/here/models/x");
  CHECK(parsed("/mnt/x.gguf").path == "/mnt/x.gguf");
  CHECK(parsed("./tier3").path == "/here/./tier3");
}

TEST_CASE("a URL is of a folder, or of a file that import takes") {
  const FetchSource folder = parsed("https://host/models/base/x");
  CHECK(folder.form == Form::folder);
  CHECK(folder.store.url == "https://host/models/base/x/");
  CHECK(parsed("http://host:8080").store.url == "http://host:8080/");
  const FetchSource file = parsed("https://host/a/x-Q4_K_M.gguf?download=true");
  CHECK(file.form == Form::file);
  CHECK(file.store.url == "https://host/a/x-Q4_K_M.gguf?download=true");
  CHECK(file.file_name == "x-Q4_K_M.gguf");
  CHECK(parsed("http://h/p-1-py3-none-any.whl").form == Form::file);
  CHECK(parsed("http://h/x.gguf/").form == Form::folder);
}

TEST_CASE("what is no source is refused and what is one is told") {
  for (const char* text :
       {"ftp://host/x", "http:///x", "https://me:secret@host/x", "http://host/x y/", "http://h/x/?a=b",
        "http://host/model.safetensors", "s3:///x", "s3://buc ket/x", "tier3", "s3://bucket/x"}) {
    CAPTURE(text);
    CHECK(refusal(text).code() == Errc::usage);
    CHECK_FALSE(refusal(text).hint().empty());
    CHECK(std::string(refusal(text).what()).find("secret@") == std::string::npos);
  }
}

TEST_CASE("a bucket is reached by path, with the key of tier 3") {
  const FetchSource source = parsed("s3://bucket/some where/x", kStore);
  CHECK(source.form == Form::folder);
  CHECK(source.store.url == "http://127.0.0.1:8333/bucket/some%20where/x/");
  REQUIRE(source.store.sigv4);
  CHECK(source.store.sigv4->region == "eu-1");
  CHECK(source.store.sigv4->key_file == "/tree/key");
  CHECK_FALSE(source.store.is_by_digest);
  CHECK(parsed("s3://b/x", "backup:\n  tier3:\n    region: eu-1\n    key_file: /key\n").store.url ==
        "https://s3.eu-1.amazonaws.com/b/x/");
}

TEST_CASE("tier 3 keeps files by digest, in a bucket or a folder") {
  CHECK(parsed("tier3", kStore).store.url == "http://127.0.0.1:8333/keep/reef/");
  CHECK(parsed("tier3", kStore).store.is_by_digest);
  const FetchSource folder = parsed("tier3", "backup:\n  tier3:\n    to: /mnt/tier3\n");
  CHECK(folder.store.url.empty());
  CHECK(folder.store.folder == "/mnt/tier3");
  CHECK(folder.store.is_by_digest);
}

TEST_CASE("a pinned digest is 64 digits, or none") {
  const auto pinned = [](const std::string& value) {
    return pinned_sha256(tree::Config::parse("models", "models:\n  x-1.5:\n    sha256: " + value + "\n", "models.yaml"),
                         "x-1.5");
  };
  CHECK(pinned(std::string(64, 'a')) == std::string(64, 'a'));
  CHECK(pinned("''").empty());
  CHECK_THROWS_AS(pinned(std::string(64, 'A')), Error);
  CHECK_THROWS_AS(pinned(std::string(63, 'a')), Error);
}

}  // namespace reef::model::internal
