// GGUF files as models: imported, shown and verified like safetensors.
#include <doctest/doctest.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/library.h"
#include "reef/model/verify.h"
#include "support/temp_dir.h"
#include "unit/model/gguf_sample.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

/// One quantised tensor of a layer, and what programs want to know.
std::string quantized_file() {
  return test::gguf({test::gguf_entry("general.architecture", test::kString, test::gguf_string("llama")),
                     test::gguf_entry("general.license", test::kString, test::gguf_string("mit")),
                     test::gguf_entry("llama.block_count", test::kU32, test::le32(1))},
                    {test::gguf_tensor("blk.0.ffn_up.weight", {256, 2}, test::kQ4K, 0)}, 2 * 144);
}

/// Part `number` of two, with one tensor of its own.
std::string part_file(unsigned number) {
  return test::gguf({test::gguf_entry("split.no", test::kU16, test::le(number - 1, 2)),
                     test::gguf_entry("split.count", test::kU16, test::le(2, 2)),
                     test::gguf_entry("split.tensors.count", test::kI32, test::le32(2))},
                    {test::gguf_tensor("blk." + std::to_string(number) + ".w", {4}, test::kF32Tensor, 0)}, 32);
}

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() { fs::create_directories(tree.models()); }
  ImportResult import(const fs::path& source) const {
    return import_model(tree, tree::Config::load(tree), {.source = source}, no_progress());
  }
};

std::vector<std::string> paths_of(const Manifest& manifest) {
  std::vector<std::string> paths;
  for (const ManifestFile& file : manifest.files) paths.push_back(file.path);
  return paths;
}

}  // namespace

TEST_CASE("a GGUF file is imported under its own name, shown and verified") {
  const Fixture f;
  test::write(f.dir / "in/tiny-Q4_K_M.gguf", quantized_file());
  test::write(f.dir / "in/other.gguf", "not a model");
  const ImportResult result = f.import(f.dir / "in/tiny-Q4_K_M.gguf");
  CHECK(result.manifest.name == "tiny-Q4_K_M");
  CHECK(result.manifest.kind == Kind::quantized);
  CHECK(result.manifest.licence == "mit");
  CHECK(result.manifest.source == (f.dir / "in/tiny-Q4_K_M.gguf").string());
  CHECK(paths_of(result.manifest) == std::vector<std::string>{"tiny-Q4_K_M.gguf"});
  CHECK(!result.manifest.files[0].header_sha256.empty());
  CHECK(f.import(f.dir / "in/tiny-Q4_K_M.gguf").action == ImportAction::none);
  CHECK(verify_models(f.tree, {}, no_progress()).faults() == 0);

  const ModelDetails details = describe_model(f.tree, "tiny-Q4_K_M", true);
  CHECK(details.architecture == "llama");
  CHECK(details.quantization == "mostly Q4_K");
  CHECK(details.parameters == 512);
  REQUIRE(details.stacks.size() == 1);
  CHECK(details.stacks[0].prefix == "blk");
  CHECK(details.metadata("llama.block_count") == "1");
  CHECK(details.weights.at(0).tensors.at(0).shape == std::vector<std::uint64_t>{2, 256});
  CHECK(to_text(details).find("llama.block_count") != std::string::npos);

  const fs::path file = result.folder / "tiny-Q4_K_M.gguf";
  std::string bytes = io::read_file(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  test::write(file, bytes);
  CHECK(verify_models(f.tree, {}, no_progress()).faults() == 1);
}

TEST_CASE("a GGUF model in parts is imported whole, or not at all") {
  const Fixture f;
  test::write(f.dir / "in/m-00001-of-00002.gguf", part_file(1));
  CHECK_THROWS_WITH_AS(f.import(f.dir / "in/m-00001-of-00002.gguf"),
                       doctest::Contains("is one of 2 parts, and m-00002-of-00002.gguf is missing"), Error);
  CHECK_THROWS_AS(f.import(f.dir / "in"), Error);
  test::write(f.dir / "in/m-00002-of-00002.gguf", part_file(2));
  const ImportResult result = f.import(f.dir / "in/m-00002-of-00002.gguf");
  CHECK(result.manifest.name == "m");
  CHECK(result.manifest.kind == Kind::base);
  CHECK(paths_of(result.manifest) == std::vector<std::string>{"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"});
  CHECK(describe_model(f.tree, "m", false).tensor_count() == 2);
  CHECK(verify_models(f.tree, {}, no_progress()).faults() == 0);

  test::write(f.dir / "in/m-00002-of-00002.gguf", part_file(1));  // twice the same
  CHECK_THROWS_AS(
      import_model(f.tree, tree::Config::load(f.tree), {.source = f.dir / "in", .name = "again"}, no_progress()),
      Error);
  CHECK_FALSE(fs::exists(f.tree.models("base") / "again"));
}

TEST_CASE("of a folder the one GGUF model is taken, with its projector and card") {
  const Fixture f;
  test::write(f.dir / "in/README.md", "---\nlicense: apache-2.0\n---\n");
  test::write(f.dir / "in/tiny.gguf", quantized_file());
  test::write(f.dir / "in/mmproj-f16.gguf", quantized_file());
  const ImportResult result = f.import(f.dir / "in");
  CHECK(result.manifest.licence == "apache-2.0");
  CHECK(paths_of(result.manifest) == std::vector<std::string>{"README.md", "mmproj-f16.gguf", "tiny.gguf"});

  test::write(f.dir / "in/tiny-Q8_0.gguf", quantized_file());
  CHECK_THROWS_WITH_AS(f.import(f.dir / "in"), doctest::Contains("holds 2 GGUF models"), Error);
}

TEST_CASE("a link of a Hugging Face snapshot is imported as the file that it stands for") {
  const Fixture f;
  const fs::path cache = f.dir / "models--org--tiny-GGUF";
  test::write(cache / "blobs/aa", quantized_file());
  fs::create_directories(cache / "snapshots/0123abc");
  fs::create_symlink("../../blobs/aa", cache / "snapshots/0123abc/tiny-Q4_K_M.gguf");
  const ImportResult result = f.import(cache / "snapshots/0123abc/tiny-Q4_K_M.gguf");
  CHECK(result.manifest.name == "tiny-Q4_K_M");
  CHECK(result.manifest.source == "org/tiny-GGUF@0123abc/tiny-Q4_K_M.gguf");
  CHECK(fs::is_regular_file(fs::symlink_status(result.folder / "tiny-Q4_K_M.gguf")));
  CHECK(f.import(cache).manifest.name == "tiny-GGUF");
}

TEST_CASE("beside safetensors, GGUF files are models of their own") {
  const Fixture f;
  test::write_model(f.dir / "in");
  test::write(f.dir / "in/tiny.gguf", quantized_file());
  CHECK(paths_of(f.import(f.dir / "in").manifest) == std::vector<std::string>{"config.json", "model.safetensors"});
}

TEST_CASE("a damaged GGUF file is refused and leaves nothing") {
  const Fixture f;
  const std::string sound = quantized_file();
  for (const std::string& damaged :
       {sound.substr(0, sound.size() - 40), "FUGG" + sound.substr(4), sound.substr(0, 30)}) {
    test::write(f.dir / "in/tiny.gguf", damaged);
    CHECK_THROWS_AS(f.import(f.dir / "in/tiny.gguf"), Error);
    CHECK_THROWS_AS(f.import(f.dir / "in"), Error);
  }
  CHECK(list_models(f.tree).entries.empty());
}
