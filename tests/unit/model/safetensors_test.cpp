#include "reef/model/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

namespace {

SafetensorsHeader parse(std::string_view file) {
  return parse_safetensors({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, file.size(),
                           "m.safetensors");
}

}  // namespace

TEST_CASE("the tensors of a sound file are found in the order of their bytes") {
  const auto header = parse(test::safetensors(
      R"({"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[4,12]},"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"I64","shape":[0,7],"data_offsets":[4,4]}}   )",
      12));
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.tensors[0].name == "a");
  CHECK(header.tensors[0].shape.empty());
  CHECK(header.tensors[0].elements() == 1);
  CHECK(header.tensors[1].name == "none");
  CHECK(header.tensors[2].elements() == 4);
  CHECK(header.metadata == std::vector<std::pair<std::string, std::string>>{{"format", "pt"}});
  REQUIRE(header.find("b"));
  CHECK(header.find("b")->shape == std::vector<std::uint64_t>{2, 2});
  CHECK_FALSE(header.find("c"));
}

TEST_CASE("names may hold any text") {
  const auto header =
      parse(test::safetensors(R"({"é\ud83d\ude00\n\"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  CHECK(header.tensors[0].name == "é\xf0\x9f\x98\x80\n\"");
}

TEST_CASE("unaligned tensors are legal and told") {
  const std::string json =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const auto header = parse(test::safetensors(json, 5));
  CHECK(header.is_aligned(header.tensors[0]));
  CHECK_FALSE(header.is_aligned(header.tensors[1]));
}

TEST_CASE("every dtype is known by its name and fills its bits") {
  struct Named {
    std::string_view name;
    unsigned bits;
  };
  for (const auto& [name, bits] :
       {Named{"BOOL", 8},   {"U8", 8},          {"I8", 8},      {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8},
        {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
        {"I32", 32},        {"U32", 32},        {"F32", 32},    {"C64", 64},    {"F64", 64},    {"I64", 64},
        {"U64", 64},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}}) {
    CAPTURE(name);
    // Eight elements fill as many bytes as one has bits, also where one is no whole number of bytes.
    const auto header = parse(test::safetensors(
        fmt::format(R"({{"w":{{"dtype":"{}","shape":[2,4],"data_offsets":[0,{}]}}}})", name, bits), bits));
    CHECK(dtype_name(header.tensors[0].dtype) == name);
    CHECK(dtype_bits(header.tensors[0].dtype) == bits);
    CHECK(header.tensors[0].elements() == 8);
  }
}

TEST_CASE("white space may stand between all tokens and pad the end") {
  const auto header = parse(test::safetensors(
      "{ \t\"w\" :\r\n{ \"dtype\" : \"U8\" , \"shape\" : [ 2 , 4 ] , \"data_offsets\" : [ 0 , 8 ] } }\n\t\r  ", 8));
  CHECK(header.tensors[0].shape == std::vector<std::uint64_t>{2, 4});
  CHECK(parse(test::safetensors("{}", 0)).tensors.empty());
}

TEST_CASE("a mapped file gives the bytes of its tensors") {
  const test::TempDir dir;
  test::write(dir / "m.safetensors", test::safetensors(test::kOneTensor, 8));
  const SafetensorsFile file(dir / "m.safetensors");
  const auto bytes = file.bytes(file.require("w"));
  REQUIRE(bytes.size() == 8);
  CHECK(bytes[3] == 3);
  CHECK_THROWS_WITH_AS(file.require("x"), doctest::Contains("there is no tensor 'x'"), Error);
  CHECK_THROWS_AS(SafetensorsFile(dir / "absent.safetensors"), Error);
}
