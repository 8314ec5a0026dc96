#include "reef/model/diff.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/internal/compare_elements.h"
#include "reef/model/library.h"
#include "reef/model/make_manifest.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() { fs::create_directories(tree.models()); }

  void add(const std::string& name, std::string_view weights, const char* config = R"({"model_type":"bert"})") const {
    test::write(dir / name / "config.json", config);
    test::write(dir / name / "model.safetensors", weights);
    import_model(tree, tree::Config::load(tree), {.source = dir / name}, no_progress());
  }
  /// Models a and b of the same header.
  void add_both(std::string_view header, std::string data_a, std::string data_b) const {
    add("a", test::safetensors(header, 0) + data_a);
    add("b", test::safetensors(header, 0) + data_b);
  }
  ModelDiff diff(bool read_all = false) const {
    return diff_models(tree, {.a = "a", .b = "b", .read_all = read_all, .threads = 2}, no_progress());
  }
};

template <typename T>
std::string bytes_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

template <typename T>
internal::ElementDifferences compare(std::string_view dtype, std::initializer_list<T> a, std::initializer_list<T> b) {
  const std::string x = bytes_of(a), y = bytes_of(b);
  const auto span = [](const std::string& text) {
    return std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  return internal::compare_elements(span(x), span(y), internal::element_type(dtype));
}

}  // namespace

TEST_CASE("elements are compared as what they are") {
  const auto floats = compare<float>("F32", {1, 2, 0.0F, 5}, {1, 2.5F, -0.0F, 5.25F});
  CHECK(floats.elements == 3);
  CHECK(floats.largest == 0.5);
  CHECK(floats.nonfinite == 0);
  const auto doubles = compare<double>("F64", {1, 1e300}, {1, -1e300});
  CHECK(doubles.elements == 1);
  CHECK(doubles.largest == 2e300);
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto odd = compare<float>("F32", {nan, nan, infinity, 1}, {nan, 1, 2, 3});
  CHECK(odd.elements == 3);
  CHECK(odd.nonfinite == 2);
  CHECK(odd.largest == 2);
  CHECK(compare<std::uint16_t>("F16", {0x3C00}, {0xC000}).largest == 3);
  CHECK(compare<std::uint16_t>("BF16", {0x3F80}, {0xC000}).largest == 3);
  const auto integers = compare<std::int32_t>("I32", {1, 0x01020304}, {1, 0x02010304});
  CHECK(integers.elements == 1);
  CHECK(integers.bytes == 2);
  CHECK(compare<std::uint64_t>("C64", {1, 2, 3}, {1, 3, 4}).elements == 2);
  CHECK(compare<std::uint8_t>("F8_E5M2", {1, 2, 3}, {1, 3, 4}).elements == 2);
  CHECK(compare<std::uint8_t>("F4", {1, 2, 3}, {1, 3, 4}).bytes == 2);
  CHECK(compare<std::uint8_t>("F4", {1, 2, 3}, {1, 3, 4}).elements == 0);
}

TEST_CASE("equal models are equal without a byte read, and with all read") {
  const Fixture f;
  f.add_both(test::kOneTensor, bytes_of<float>({1, 2}), bytes_of<float>({1, 2}));
  const auto quick = f.diff();
  CHECK(quick.is_identical());
  CHECK(quick.identical_tensors == 1);
  CHECK(quick.identical_bytes == 8);
  CHECK(quick.bytes_read == 0);
  CHECK(f.diff(true).is_identical());
  CHECK(f.diff(true).bytes_read == 16);
  CHECK(to_text(quick) == "a and b are the same: 1 identical tensor (8 B)\n");
}

TEST_CASE("bytes that changed behind the manifest are found when all are read") {
  const Fixture f;
  f.add_both(test::kOneTensor, bytes_of<float>({1, 2}), bytes_of<float>({1, 2}));
  test::write(f.tree.models("base") / "b/model.safetensors",
              test::safetensors(test::kOneTensor, 0) + bytes_of<float>({1, 4}));
  test::write(f.tree.models("base") / "b/config.json", R"({"model_type":"gpt2"})");
  CHECK(f.diff().is_identical());
  const auto read = f.diff(true);
  REQUIRE(read.tensors.size() == 1);
  CHECK(read.tensors[0].largest_difference == 2);
  REQUIRE(read.files.size() == 1);
  CHECK(read.files[0].path == "config.json");
}

TEST_CASE("digests of tensors spare reading what is equal in files that differ") {
  const Fixture f;
  constexpr std::string_view kTwo =
      R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})";
  f.add_both(kTwo, bytes_of<float>({1, 2, 3, 4}), bytes_of<float>({1, 2, 3, 5}));
  CHECK(f.diff().bytes_read == 32);
  for (const char* name : {"a", "b"}) make_manifest(f.tree, {.name = name, .with_tensors = true}, no_progress());
  const auto diff = f.diff();
  CHECK(diff.bytes_read == 16);
  CHECK(diff.identical_tensors == 1);
  REQUIRE(diff.tensors.size() == 1);
  CHECK(diff.tensors[0].name == "w");
  CHECK(diff.tensors[0].differing_elements == 1);
  CHECK(to_text(diff) ==
        "tensor  w  1 of 2 elements, at most 1 apart\n"
        "1 identical tensor (8 B); different: 1 tensor, 0 metadata keys, 0 other files\n");
}

TEST_CASE("every kind of difference is told, and where tensors lie is none") {
  const Fixture f;
  f.add("a", test::safetensors(R"({"__metadata__":{"format":"pt","run":"1"},)"
                               R"("old":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                               R"("same":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                               R"("packed":{"dtype":"F4","shape":[2],"data_offsets":[3,4]},)"
                               R"("type":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},)"
                               R"("shape":{"dtype":"U8","shape":[2,1],"data_offsets":[6,8]}})",
                               8));
  test::write(f.dir / "b/vocab.txt", "x");
  f.add("b",
        test::safetensors(R"({"__metadata__":{"format":"np"},)"
                          R"("packed":{"dtype":"F4","shape":[2],"data_offsets":[0,1]},)"
                          R"("same":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                          R"("new":{"dtype":"U8","shape":[1],"data_offsets":[3,4]},)"
                          R"("type":{"dtype":"I8","shape":[2],"data_offsets":[4,6]},)"
                          R"("shape":{"dtype":"U8","shape":[2],"data_offsets":[6,8]}})",
                          8),
        R"({"model_type":"gpt2"})");
  const auto diff = f.diff();
  CHECK(diff.identical_tensors == 1);
  CHECK(to_text(diff) ==
        "tensor    new          only in b: U8 1\n"
        "tensor    old          only in a: U8 1\n"
        "tensor    packed       1 of 1 bytes\n"
        "tensor    shape        U8 2 x 1 -> U8 2\n"
        "tensor    type         U8 2 -> I8 2\n"
        "metadata  format       pt -> np\n"
        "metadata  run          1 -> none\n"
        "file      config.json  differs\n"
        "file      vocab.txt    only in b\n"
        "1 identical tensor (2 B); different: 5 tensors, 2 metadata keys, 2 other files\n");
  const auto json = nlohmann::json::parse(to_json(diff));
  CHECK_FALSE(json["identical"].get<bool>());
  CHECK(json["tensors"][0] == nlohmann::json::parse(R"({"name":"new","difference":"only_in_b","a":null,
    "b":{"dtype":"U8","shape":[1],"bytes":1}})"));
  CHECK(json["tensors"][2]["differing_elements"].is_null());
  CHECK(json["tensors"][2]["differing_bytes"] == 1);
  CHECK(json["metadata"][1] == nlohmann::json::parse(R"({"key":"run","a":"1","b":null})"));
  CHECK(json["files"][1] == nlohmann::json::parse(R"({"path":"vocab.txt","difference":"only_in_b"})"));
}

TEST_CASE("tensors of several segments at other offsets are compared to the last byte") {
  const Fixture f;
  constexpr std::size_t kSize = (64 << 20) + 5001;
  const auto header = [&](std::size_t before) {
    return fmt::format(R"({{"t":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}},)"
                       R"("w":{{"dtype":"U8","shape":[{1}],"data_offsets":[{0},{2}]}}}})",
                       before, kSize, before + kSize);
  };
  const std::string data(kSize, 'x');
  std::string changed = data;
  changed[0] = 'y';
  changed[(2 << 20) + 17] = 'y';
  changed[kSize - 1] = 'y';
  f.add("a", test::safetensors(header(3), 3) + data);
  f.add("b", test::safetensors(header(4100), 4100) + changed);
  const auto diff = f.diff();
  REQUIRE(diff.tensors.size() == 2);
  CHECK(diff.tensors[0].kind == DifferenceKind::form);
  CHECK(diff.tensors[1].differing_bytes == 3);
  CHECK(diff.bytes_read == 2 * kSize);
}

TEST_CASE("models that are not there or lack a manifest cannot be compared") {
  const Fixture f;
  f.add("a", test::safetensors(test::kOneTensor, 8));
  CHECK_THROWS_WITH_AS(f.diff(), doctest::Contains("there is no model 'b'"), Error);
  fs::create_directories(f.tree.models("base") / "b");
  CHECK_THROWS_WITH_AS(f.diff(), doctest::Contains("there is no manifest.json"), Error);
}
