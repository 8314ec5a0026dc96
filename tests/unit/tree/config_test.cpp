#include "reef/tree/config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "reef/core/error.h"

using namespace reef;
using tree::Config;

namespace {

std::string fault_of(std::string_view file, const std::string& yaml) {
  try {
    Config::parse(file, yaml, "given.yaml");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a value tells where it stands, a default that it is one") {
  const auto config = Config::parse("system", "# first\nretrieve:\n  priors:\n    shared: 0.5\n", "given.yaml");
  CHECK(config.number("system", "retrieve.priors.shared") == doctest::Approx(0.5));
  CHECK(config.value("system", "retrieve.priors.shared").origin == "given.yaml:4");
  CHECK(config.value("system", "retrieve.priors.persona").origin == "default");
  CHECK(config.list("system", "retrieve.layers") == std::vector<std::string>{"persona", "shared", "documents"});
  CHECK(config.size_bytes("system", "ingest.max_file_bytes") == 256ULL << 20);
}

TEST_CASE("names of the operator's choice are listed, with all of their keys") {
  const auto config = Config::parse(
      "models", "models:\n  e5:\n    query_prefix: \"query: \"\n  bge:\n    pooling: cls\n", "given.yaml");
  CHECK(config.names("models", "models") == std::vector<std::string>{"bge", "e5"});
  CHECK(config.text("models", "models.e5.query_prefix") == "query: ");
  CHECK(config.text("models", "models.bge.query_prefix").empty());
  const auto all = config.all();
  const auto has = [&](const std::string& key) {
    return std::any_of(all.begin(), all.end(), [&](const auto& entry) { return entry.first == key; });
  };
  CHECK(has("models: models.e5.pooling"));
  CHECK_FALSE(has("models: models.*.pooling"));
}

TEST_CASE("faults name the file, the line and what was meant") {
  CHECK(fault_of("system", "retrieve:\n  priors:\n    shraed: 1\n").find("given.yaml:3") == 0);
  CHECK(fault_of("system", "retrieve:\n  priors:\n    shraed: 1\n").find("shared") != std::string::npos);
  CHECK(fault_of("system", "ingest:\n  max_file_bytes: many\n").find("given.yaml:2") == 0);
  CHECK(fault_of("system", "ingest:\n  max_file_bytes: 1MiB\n  max_file_bytes: 2MiB\n").find("given.yaml:3") == 0);
  CHECK(fault_of("system", "ingest: [1, 2]\n").find("given.yaml:1") == 0);
  CHECK(fault_of("system", "ingest: {\n").find("given.yaml:") == 0);
  CHECK_FALSE(fault_of("system", "retrieve:\n  layers: shared: x\n").empty());
}

TEST_CASE("an empty file, and the commented one that reef-init writes, mean the defaults") {
  for (const std::string_view file : {"system", "models", "personas"}) {
    const auto empty = Config::parse(file, "", "given.yaml");
    const auto commented = Config::parse(file, tree::commented_file(file), "given.yaml");
    for (const tree::ConfigKey& key : tree::config_keys()) {
      if (key.file != file || std::string_view(key.path).find('*') != std::string_view::npos) continue;
      CAPTURE(key.path);
      CHECK(commented.value(file, key.path).text == empty.value(file, key.path).text);
      CHECK(commented.value(file, key.path).items == empty.value(file, key.path).items);
    }
    CHECK(commented.names(file, file).empty());
  }
}

TEST_CASE("every key stands once, says why it is there, and its default has its type") {
  std::set<std::string> seen;
  for (const tree::ConfigKey& key : tree::config_keys()) {
    CAPTURE(key.path);
    CHECK(seen.insert(std::string(key.file) + ":" + key.path).second);
    CHECK(std::string_view(key.why).size() > 10);
    const Config config;
    if (std::string_view(key.path).find('*') != std::string_view::npos) continue;
    if (key.type == tree::ValueType::count) CHECK_NOTHROW(config.count(key.file, key.path));
    if (key.type == tree::ValueType::number) CHECK_NOTHROW(config.number(key.file, key.path));
    if (key.type == tree::ValueType::size) CHECK_NOTHROW(config.size_bytes(key.file, key.path));
    if (key.type == tree::ValueType::duration) CHECK_NOTHROW(config.duration(key.file, key.path));
    if (key.type == tree::ValueType::flag) CHECK_NOTHROW(config.flag(key.file, key.path));
  }
}
