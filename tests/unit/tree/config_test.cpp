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
  CHECK(config.list("system", "retrieve.layers") ==
        std::vector<std::string>{"memories", "persona", "shared", "documents"});
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

TEST_CASE("values beyond their limits are told with their place and what would do") {
  const auto has = [](const std::string& fault, const std::string& part) {
    CHECK_MESSAGE(fault.find(part) != std::string::npos, fault);
  };
  has(fault_of("system", "storage:\n  layout: standart\n"),
      "given.yaml:2: storage.layout: unknown value 'standart', did you mean 'standard'?");
  has(fault_of("system", "storage:\n  layout: \"\"\n"), "storage.layout: unknown value ''");
  has(fault_of("system", "retrieve:\n  layers:\n    - shared\n    - memory\n"),
      "given.yaml:4: retrieve.layers: unknown value 'memory'");
  has(fault_of("system", "retrieve:\n  priors:\n    shared: -1\n"), "retrieve.priors.shared: '-1' is out of range");
  has(fault_of("system", "ingest:\n  limits:\n    seconds: 0\n"), "ingest.limits.seconds: '0' is out of range");
  has(fault_of("system", "ingest:\n  limits:\n    output_bytes: 0MiB\n"), "output_bytes: '0MiB' is out of range");
  has(fault_of("models", "models:\n  a.b:\n    fusion_weight: 7\n"), "given.yaml:3: models.a.b.fusion_weight: '7'");
  has(fault_of("models", "models:\n  a:\n    pooling: max\n"), "models.a.pooling: unknown value 'max'");
  CHECK(fault_of("models", "models:\n  a:\n    pooling: \"\"\n    fusion_weight: 1\n").empty());
  for (const char* name : {"docx", ".DOCX", "x.docx", "."})
    has(fault_of("system", std::string("ingest:\n  converters:\n    ") + name + ": [cat]\n"), "is no extension");
  has(fault_of("system", "ingest:\n  converters:\n    .tar.GZ: [cat]\n"), "did you mean '.gz'?");
  has(fault_of("personas", "personas:\n  ../../up:\n    name: Up\n"), "given.yaml:2: personas.../../up: ");
}

TEST_CASE("every type of value is read, checked and told in words") {
  using enum tree::ValueType;
  tree::Limits some, upto;
  some.min = 0.5;
  upto.max = 90;
  const std::vector<tree::ConfigKey> keys{
      {"system", "on", flag, "false", "a flag"},
      {"system", "a.*.for", duration, "10m", "a time", some},
      {"system", "a.*.below", number, "1", "a number", upto},
  };
  const auto config = Config::parse("system", "on: true\na:\n  x:\n    for: 1h\n", "given.yaml", keys);
  CHECK(config.flag("system", "on"));
  CHECK(config.duration("system", "a.x.for") == std::chrono::hours(1));
  CHECK(config.duration("system", "a.y.for") == std::chrono::minutes(10));
  CHECK(config.all().size() == 3);
  for (const char* yaml : {"on: yes\n", "a:\n  x:\n    for: 100ms\n", "a:\n  x:\n    for: soon\n", "retrieve:\n"}) {
    CAPTURE(yaml);
    CHECK_THROWS_AS(Config::parse("system", yaml, "given.yaml", keys), Error);
  }
  CHECK(tree::type_text(keys[0]) == "flag");
  CHECK(tree::type_text(keys[1]) == "duration from 0.5");
  CHECK(tree::type_text(keys[2]) == "number to 90");
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
  }
}
