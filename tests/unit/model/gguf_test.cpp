#include "reef/model/gguf.h"

#include <doctest/doctest.h>

#include "support/temp_dir.h"
#include "unit/model/gguf_sample.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
using namespace reef::test;

TEST_CASE("the tensors of a sound GGUF file are found in the order of their bytes") {
  const std::string file = sound_file();
  const GgufHeader header = parse(file);
  CHECK(header.version == 3);
  CHECK(header.alignment == 32);
  CHECK(header.data_offset == file.size() - 458);
  CHECK(header.data_bytes == 458);
  CHECK(header.trailing_bytes == 0);
  REQUIRE(header.tensors.size() == 2);
  CHECK(header.tensors[0].name == "blk.0.w");
  CHECK(header.tensors[0].type == GgmlType::kQ4K);
  CHECK(header.tensors[0].shape == std::vector<std::uint64_t>{3, 256});
  CHECK(header.tensors[0].bytes() == 3 * 144);
  CHECK(header.tensors[0].elements() == 3 * 256);
  REQUIRE(header.find("a") == &header.tensors[1]);
  CHECK(header.tensors[1].shape == std::vector<std::uint64_t>{2, 1, 5});
  CHECK(header.tensors[1].begin == 448);
  CHECK(header.tensors[1].end == 458);
  CHECK_FALSE(header.find("b"));
}

TEST_CASE("values of metadata keep their types and print exactly") {
  const GgufHeader header = parse(sound_file());
  const std::vector<std::pair<const char*, const char*>> expected{
      {"general.architecture", "llama"},
      {"t.u8", "255"},
      {"t.i8", "-1"},
      {"t.u16", "65535"},
      {"t.i16", "-2"},
      {"t.u32", "4294967295"},
      {"t.i32", "-2147483648"},
      {"t.f32", "1e-05"},
      {"t.no", "false"},
      {"t.yes", "true"},
      {"t.u64", "18446744073709551615"},
      {"t.i64", "-9223372036854775808"},
      {"t.f64", "0.1"},
      {"tokenizer.ggml.tokens", "[string x 3]"},
      {"t.deep", "[array x 2]"},
  };
  REQUIRE(header.metadata.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(header.metadata[i].first == expected[i].first);
    CHECK(header.metadata[i].second.to_text() == expected[i].second);
  }
  CHECK(header.value("t.u64")->as_unsigned() == UINT64_MAX);
  CHECK_FALSE(header.value("t.i8")->as_unsigned());
  CHECK_FALSE(header.value("t.yes")->as_unsigned());
  REQUIRE(header.value("general.architecture")->as_string());
  CHECK_FALSE(header.value("t.u8")->as_string());
  CHECK_FALSE(header.value("absent"));
}

TEST_CASE("an array says where its elements lie in the file") {
  const std::string file = sound_file();
  const GgufHeader header = parse(file);
  const auto& tokens = std::get<GgufArray>(header.value("tokenizer.ggml.tokens")->value);
  CHECK(tokens.element == GgufValueType::kString);
  CHECK(file.substr(tokens.begin, tokens.end - tokens.begin) ==
        gguf_string("a") + gguf_string("\xe2\x96") + gguf_string(""));
}

TEST_CASE("what GGUF allows at its edges is read") {
  CHECK(refusal(gguf({}, {}, 0)).empty());
  CHECK(parse(gguf({}, {}, 0, 32, 2)).version == 2);
  CHECK(refusal(nested(8)).empty());
  CHECK(refusal(gguf({gguf_entry(std::string(65535, 'k'), kU8, "x")}, {}, 0)).empty());
  CHECK(refusal(one_tensor(gguf_tensor(std::string(64, 'n'), {8}, kF32Tensor, 0))).empty());
  const std::string far =
      gguf({gguf_entry("general.alignment", kU32, le32(4096))}, {gguf_tensor("w", {8}, kF32Tensor, 0)}, 32, 4096);
  CHECK(parse(far).data_offset == 4096);
  const GgufHeader scalar = parse(one_tensor(gguf_tensor("s", {}, kF32Tensor, 0), 4));
  CHECK(scalar.tensors[0].shape.empty());
  CHECK(scalar.tensors[0].elements() == 1);
}

TEST_CASE("a tensor without elements takes no place") {
  const GgufHeader header = parse(gguf({},
                                       {gguf_tensor("mark", {0}, kF32Tensor, 0), gguf_tensor("w", {3}, kI8Tensor, 0),
                                        gguf_tensor("none", {256, 0}, kQ4K, 32)},
                                       32));
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.find("mark")->elements() == 0);
  CHECK(header.find("w")->begin == 0);
  CHECK(header.find("none")->bytes() == 0);
}

TEST_CASE("the last padding may be missing, and what follows it is told") {
  const std::string tensor = gguf_tensor("w", {3}, kI8Tensor, 0);
  CHECK(parse(one_tensor(tensor, 3)).data_bytes == 3);
  CHECK(parse(one_tensor(tensor, 7)).data_bytes == 7);
  const GgufHeader more = parse(one_tensor(tensor, 40));
  CHECK(more.data_bytes == 32);
  CHECK(more.trailing_bytes == 8);
}

TEST_CASE("a vocabulary alone needs no data, and may have padding") {
  const std::string file = gguf({gguf_entry("a", kU8, "x")}, {}, 0);
  CHECK(parse(file).data_offset == file.size());
  const GgufHeader padded = parse(file + std::string(64 - file.size(), '\0'));
  CHECK(padded.data_offset == 64);
  CHECK(padded.data_bytes == 0);
  CHECK(padded.trailing_bytes == 0);
}

TEST_CASE("the blocks of every ggml type have the sizes that a tensor needs") {
  std::size_t types = 0;
  for (std::uint32_t number = 0; number < 43; ++number) {
    CAPTURE(number);
    const auto type = static_cast<GgmlType>(number);
    const GgmlBlock block = ggml_block(type);
    if (block.elements == 0) continue;  // removed: gguf_refusals_test.cpp has each
    const std::string file = one_tensor(gguf_tensor("w", {3 * block.elements, 2}, number, 0), 6 * block.bytes);
    const GgufHeader header = parse(file);
    CHECK(header.tensors[0].type == type);
    CHECK(header.tensors[0].elements() == 6 * block.elements);
    CHECK_FALSE(refusal(file.substr(0, file.size() - 1)).empty());
    ++types;
  }
  CHECK(types == 35);
  CHECK(ggml_type_name(GgmlType::kIq2Xxs) == "IQ2_XXS");
  CHECK(ggml_type_name(GgmlType::kMxfp4) == "MXFP4");
  CHECK(ggml_type_name(GgmlType::kQ2_0) == "Q2_0");
}

TEST_CASE("a GGUF file is known by its first bytes") {
  const auto looks = [](std::string_view bytes) {
    return is_gguf({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  };
  CHECK(looks("GGUF"));
  CHECK(looks("FUGG\0"));
  CHECK_FALSE(looks("GGU"));
  CHECK_FALSE(looks("GGML"));
  CHECK_FALSE(looks(""));
}

TEST_CASE("a mapped GGUF file gives the bytes of its tensors") {
  const test::TempDir dir;
  test::write(dir / "m.gguf", sound_file());
  const GgufFile file(dir / "m.gguf");
  const auto bytes = file.bytes(*file.header().find("a"));
  REQUIRE(bytes.size() == 10);
  CHECK(bytes[0] == (448 & 0xFF));
  CHECK_THROWS_AS(GgufFile(dir / "absent.gguf"), Error);
  test::write(dir / "empty.gguf", "");
  CHECK_THROWS_WITH_AS(GgufFile(dir / "empty.gguf"), doctest::Contains("empty.gguf: byte 0: the magic"), Error);
}
