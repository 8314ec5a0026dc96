#include "reef/model/library.h"
#include "reef/model/verify.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/model/import.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() {
    fs::create_directories(tree.models());
    test::write_model(dir / "tiny");
    import_model(tree, tree::Config::load(tree), {.source = dir / "tiny"}, no_progress());
  }
  fs::path folder() const { return tree.models("base") / "tiny"; }
  /// "file: what" of every fault.
  std::vector<std::string> faults() const {
    std::vector<std::string> all;
    for (const auto& model : verify_models(tree, {}, no_progress()).models) {
      for (const auto& fault : model.faults) all.push_back(fault.file + ": " + fault.what);
    }
    return all;
  }
};

}  // namespace

TEST_CASE("a sound model verifies") {
  const Fixture f;
  const auto report = verify_models(f.tree, {.names = {"tiny"}}, no_progress());
  REQUIRE(report.models.size() == 1);
  CHECK(report.faults() == 0);
  CHECK(report.models[0].files == 2);
  CHECK(report.first_fault().empty());
}

TEST_CASE("one flipped byte is found, and both digests are named") {
  const Fixture f;
  std::string file = test::safetensors(test::kOneTensor, 8);
  file.back() ^= 1;
  test::write(f.folder() / "model.safetensors", file);
  const auto expected = read_manifest(f.folder())->find("model.safetensors")->sha256;
  const auto faults = f.faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].starts_with("model.safetensors: sha256 is "));
  CHECK(faults[0].ends_with(", manifest says " + expected));
}

TEST_CASE("missing, foreign and cut files are faults") {
  const Fixture f;
  fs::remove(f.folder() / "config.json");
  test::write(f.folder() / "model.safetensors", "cut");
  test::write(f.folder() / "extra.bin", "x");
  const auto bytes = test::safetensors(test::kOneTensor, 8).size();
  CHECK(f.faults() == std::vector<std::string>{"config.json: is missing",
                                               fmt::format("model.safetensors: has 3 bytes, manifest says {}", bytes),
                                               "extra.bin: is not in the manifest"});
}

TEST_CASE("bytes that agree with the manifest must still be a model") {
  const Fixture f;
  test::write(f.folder() / "model.safetensors", "123");
  Manifest manifest = *read_manifest(f.folder());
  manifest.files[1] = {"model.safetensors", 3, "a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3"};
  test::write(f.folder() / "manifest.json", manifest_text(manifest));
  const auto faults = f.faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("shorter than its 8-byte length field") != std::string::npos);
}

TEST_CASE("a model without a manifest is listed, and is a fault") {
  const Fixture f;
  fs::create_directories(f.tree.models("base") / "bare");
  const auto list = list_models(f.tree);
  REQUIRE(list.entries.size() == 2);
  CHECK(list.entries[0].name == "bare");
  CHECK(list.entries[0].fault == "there is no manifest.json");
  CHECK(f.faults() == std::vector<std::string>{"manifest.json: there is no manifest.json"});
  CHECK_THROWS_WITH_AS(find_model(f.tree, "bare"), doctest::Contains("there is no manifest.json"), Error);
}

TEST_CASE("an unknown name is answered with the nearest") {
  const Fixture f;
  CHECK_THROWS_WITH_AS(find_model(f.tree, "tinny"), "there is no model 'tinny', did you mean 'tiny'?", Error);
  CHECK_THROWS_AS(find_model(f.tree, "../base/tiny"), Error);
  CHECK_THROWS_AS(verify_models(f.tree, {.names = {"absent"}}, no_progress()), Error);
}

TEST_CASE("a model is described by its headers") {
  const Fixture f;
  const auto details = describe_model(f.tree, "tiny", true);
  CHECK(details.architecture == "bert");
  CHECK(details.parameters == 2);
  REQUIRE(details.dtypes.size() == 1);
  CHECK(details.dtypes[0].bytes == 8);
  CHECK(details.weights[0].tensors[0].name == "w");
}

TEST_CASE("reports are one line of JSON with a schema") {
  const Fixture f;
  const auto check = [](const std::string& text, const char* schema) {
    CHECK(text.find('\n') == std::string::npos);
    const auto json = nlohmann::json::parse(text);
    CHECK(json["schema"] == schema);
    return json;
  };
  const auto list = list_models(f.tree);
  CHECK(check(to_json(list.entries[0], {}), "reef.model.list/1")["licence"].is_null());
  const auto show = check(to_json(describe_model(f.tree, "tiny", true)), "reef.model.show/1");
  CHECK(show["tensors"][0]["shape"] == nlohmann::json::array({2}));
  CHECK_FALSE(nlohmann::json::parse(to_json(describe_model(f.tree, "tiny", false))).contains("tensors"));
  CHECK(check(to_json(verify_models(f.tree, {}, no_progress())), "reef.model.verify/1")["ok"] == true);
  CHECK(to_text(list).starts_with("NAME  KIND"));
}

TEST_CASE("whose an adapter is follows from personas.yaml and the manifest, and a binding to nothing is a fault") {
  const Fixture f;
  test::write(f.dir / "lora/adapter_config.json", "{}");
  test::write(f.dir / "lora/model.safetensors", test::safetensors(test::kOneTensor, 8));
  const auto configure = [&](const std::string& text) { test::write(f.tree.config("personas.yaml"), text); };
  const auto bindings = [&] { return read_bindings(tree::Config::load(f.tree)); };
  configure("personas:\n  alice:\n  bob:\n");
  import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "lora", .persona = "bob"}, no_progress());
  configure("personas:\n  alice:\n    base: base/tiny\n    adapters: [adapters/lora]\n  bob:\n    base: tiny\n");

  ModelList list = list_models(f.tree);
  list.bindings = bindings();
  CHECK(to_text(list).find("alice, bob (not bound)") != std::string::npos);
  const auto entry = nlohmann::json::parse(to_json(list.entries[1], list.bindings));
  CHECK(entry["personas"] == nlohmann::json::array({"alice", "bob"}));
  CHECK(missing_bindings(f.tree, list.bindings).empty());
  const auto shown = describe_model(f.tree, "lora", false, bindings());
  CHECK(to_text(shown).find("base/tiny (of alice)") != std::string::npos);
  CHECK(describe_model(f.tree, "tiny", false, bindings()).bindings.empty());

  // A base model is none below adapters, nor an adapter one below base.
  configure("personas:\n  alice:\n    base: lora\n    adapters: [lora, tiny, ../x]\n");
  const auto report = verify_models(f.tree, {.bindings = bindings()}, no_progress());
  CHECK(report.faults() == 3);
  CHECK(report.first_fault().ends_with(
      "personas.yaml:3: persona 'alice' is bound to the base model 'lora', which is not there"));
  CHECK(report.missing[1].name == "tiny");
  CHECK(missing_hint(report.missing[1])
            .starts_with("bring it with 'reef-model fetch adapters/tiny' or 'reef-model import SRC --kind adapter "
                         "--name tiny --persona alice', or take it out of "));
  CHECK(missing_hint(report.missing[0])
            .starts_with("bring it with 'reef-model fetch base/lora' or 'reef-model import SRC --name lora', or take"));
  CHECK(missing_hint(report.missing[2]).starts_with("no model can have that name: take it out of "));
  CHECK(missing_hint({"bob", false, "adapters/x", "f:1"}).find("--name x --persona bob'") != std::string::npos);
  CHECK(missing_hint({"bob", true, "quantized/x", "f:1"}).find("SRC --name x'") != std::string::npos);
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["ok"] == false);
  CHECK(json["missing"][2]["name"] == "../x");
  CHECK(describe_model(f.tree, "lora", false, bindings()).missing.size() == 3);
  configure("personas:\n  alice:\n    adapters: [gone]\n");
  CHECK_THROWS_WITH_AS(describe_model(f.tree, "gone", false, bindings()),
                       doctest::Contains("there is no model 'gone'; "), Error);
}
