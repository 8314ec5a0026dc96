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
  CHECK(check(to_json(list.entries[0]), "reef.model.list/1")["licence"].is_null());
  const auto show = check(to_json(describe_model(f.tree, "tiny", true)), "reef.model.show/1");
  CHECK(show["tensors"][0]["shape"] == nlohmann::json::array({2}));
  CHECK_FALSE(nlohmann::json::parse(to_json(describe_model(f.tree, "tiny", false))).contains("tensors"));
  CHECK(check(to_json(verify_models(f.tree, {}, no_progress())), "reef.model.verify/1")["ok"] == true);
  CHECK(to_text(list).starts_with("NAME  KIND"));
}
