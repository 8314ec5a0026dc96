#include <fmt/format.h>

#include "reef/io/file.h"
#include "reef/model/diff.h"
#include "reef/model/extract.h"
#include "reef/model/import.h"
#include "support/temp_dir.h"
#include "unit/model/gguf_sample.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() { fs::create_directories(tree.models()); }

  /// A model of a float matrix of 3 x 4, and of one block of Q4_K behind it; the vocabulary is two strings.
  void add(const std::string& name, std::string_view second_word) const {
    const std::string words =
        test::le32(test::kString) + test::le64(2) + test::gguf_string("one") + test::gguf_string(second_word);
    test::write(dir / (name + ".gguf"),
                test::gguf({test::gguf_entry("general.architecture", test::kString, test::gguf_string("llama")),
                            test::gguf_entry("tokenizer.ggml.tokens", test::kArray, words)},
                           {test::gguf_tensor("grid", {4, 3}, test::kF32Tensor, 0),
                            test::gguf_tensor("blk.0.w", {256}, test::kQ4K, 64)},
                           64 + 160));
    import_model(tree, tree::Config::load(tree), {.source = dir / (name + ".gguf")}, no_progress());
  }
  std::string extract(const std::string& tensor, const char* file) const {
    extract_tensor(tree, {"m", tensor, dir / file, true}, no_progress());
    return io::read_file(dir / file);
  }
};

std::string counting(std::size_t begin, std::size_t end) {
  std::string bytes;
  for (std::size_t i = begin; i < end; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace

TEST_CASE("tensors of GGUF files are extracted, quantised ones as they are") {
  const Fixture f;
  f.add("m", "two");
  CHECK(f.extract("grid[1,2:]", "grid.bin") == counting(24, 32));
  CHECK(f.extract("grid", "grid.npy").find("'shape': (3, 4)") != std::string::npos);
  CHECK(f.extract("blk.0.w", "w.bin") == counting(64, 64 + 144));
  CHECK_THROWS_WITH_AS(f.extract("blk.0.w", "w.npy"), "blk.0.w: .npy has no type for Q4_K", Error);
  CHECK_THROWS_WITH_AS(f.extract("blk.0.w[0:32]", "w.bin"), doctest::Contains("type Q4_K share bytes"), Error);
}

TEST_CASE("vocabularies of one length that differ are a difference of GGUF files") {
  const Fixture f;
  f.add("m", "two");
  f.add("n", "2nd");
  const ModelDiff diff = diff_models(f.tree, {.a = "m", .b = "n"}, no_progress());
  CHECK(diff.identical_tensors == 2);
  CHECK(diff.tensors.empty());
  REQUIRE(diff.metadata.size() == 1);
  CHECK(diff.metadata[0].key == "tokenizer.ggml.tokens");
  CHECK_FALSE(diff.is_identical());
  CHECK(diff_models(f.tree, {.a = "m", .b = "m"}, no_progress()).is_identical());
}
