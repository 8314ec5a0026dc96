#include <doctest/doctest.h>

#include "reef/model/gguf.h"
#include "support/temp_dir.h"
#include "unit/model/gguf_sample.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
using namespace reef::test;
namespace fs = std::filesystem;

namespace {

std::string preamble(std::uint32_t version, std::uint64_t tensors, std::uint64_t entries, std::string_view rest = {}) {
  return "GGUF" + le32(version) + le64(tensors) + le64(entries) + std::string(rest);
}

/// A file of one key whose type is an array, `elements` after its length.
std::string array(std::uint32_t element, std::uint64_t count, std::string_view elements) {
  return gguf({gguf_entry("a", kArray, le32(element) + le64(count) + std::string(elements))}, {}, 0);
}

std::string aligned(std::uint32_t type, std::string_view value) {
  return gguf({gguf_entry("general.alignment", type, value)}, {}, 0);
}

/// Two tensors of three bytes each, the second one at `offset`.
std::string second_at(std::uint64_t offset, std::size_t data = 35) {
  return gguf({}, {gguf_tensor("a", {3}, kI8Tensor, 0), gguf_tensor("b", {3}, kI8Tensor, offset)}, data);
}

std::string of_type(std::uint32_t type) { return one_tensor(gguf_tensor("w", {256}, type, 0), 1024); }

struct Refused {
  const char* about;
  std::string file;
  const char* message;  ///< a part of it
};

/// One file for each rule; `message` pins the byte where it is told.
std::vector<Refused> refused_preambles() {
  return {
      {"empty", "", "byte 0: the magic of 4 bytes reaches past the end of the file (0 bytes)"},
      {"shorter than the magic", "GGU", "byte 0: the magic of 4 bytes"},
      {"other magic", "GGML" + le32(3) + le64(0) + le64(0), "byte 0: the file does not begin with 'GGUF'"},
      {"big-endian magic", "FUGG" + le32(3) + le64(0) + le64(0), "byte 0: a big-endian GGUF file"},
      {"big-endian version", preamble(0x03000000, 0, 0), "byte 4: a big-endian GGUF file"},
      {"cut in the version", std::string("GGUF\3\0", 6), "byte 4: the version of 4 bytes"},
      {"version 0", preamble(0, 0, 0), "byte 4: GGUF version 0"},
      {"version 1", preamble(1, 0, 0), "byte 4: GGUF version 1, whose counts have 32 bits"},
      {"version 4", preamble(4, 0, 0), "byte 4: GGUF version 4; versions 2 and 3 are known"},
      {"cut in the counts", preamble(3, 0, 0).substr(0, 20), "byte 16: the number of metadata keys of 8 bytes"},
      {"2^60 tensors", preamble(3, 1ULL << 60, 0, "x"),
       "byte 8: 1152921504606846976 tensors do not fit in the 1 bytes"},
      {"2^60 keys", preamble(3, 0, 1ULL << 60), "byte 16: 1152921504606846976 metadata keys do not fit in the 0 bytes"},
      {"one tensor too many", preamble(3, 2, 0, std::string(49, '\0')), "2 tensors do not fit in the 49 bytes"},
      {"one key too many", preamble(3, 0, 2, std::string(27, '\0')), "2 metadata keys do not fit in the 27 bytes"},
  };
}

std::vector<Refused> refused_metadata() {
  const auto entry = [](std::string_view key, std::uint32_t type, std::string_view value) {
    return gguf({gguf_entry(key, type, value)}, {}, 0);
  };
  return {
      {"empty key", entry("", kU64, le64(0)), "byte 24: an empty key"},
      {"long key", entry(std::string(65536, 'k'), kU8, "x"), "byte 24: a key of 65536 bytes, the limit is 65535"},
      {"key past the end", preamble(3, 0, 1, le64(99) + "aaaaaaaaaaaaaa"), "byte 24: a key of 99 bytes reaches past"},
      {"key of 2^64-1 bytes", preamble(3, 0, 1, le64(UINT64_MAX) + "aaaaaaaaaaaaaa"), "byte 24: a key of 184467440"},
      {"key not UTF-8", entry("a\xff", kU8, "x"), "is not made of printable ASCII characters"},
      {"key not ASCII", entry("ключ", kU8, "x"), "is not made of printable ASCII characters"},
      {"key with a NUL", entry(std::string_view("a\0b", 3), kU8, "x"), "is not made of printable"},
      {"key with a space", entry("a b", kU8, "x"), "the key 'a b' is not made of printable"},
      {"duplicate key",
       gguf({gguf_entry("a", kU8, "x"), gguf_entry("b", kU8, "x"), gguf_entry("a", kU32, le32(1))}, {}, 0),
       "byte 52: the key 'a' occurs twice"},
      {"unknown value type", entry("a", 13, le64(0)), "byte 33 (key a): unknown type 13 of a value"},
      {"unknown element type", array(13, 0, ""), "byte 37 (key a): unknown type 13 of a value"},
      {"number past the end", entry("a", kU64, "1234567"), "byte 37 (key a): a number of 8 bytes reaches past the end"},
      {"string past the end", entry("a", kString, le64(2) + "x"), "byte 37 (key a): a string of 2 bytes reaches past"},
      {"string of 2^64-1 bytes", entry("a", kString, le64(UINT64_MAX)),
       "byte 37 (key a): a string of 18446744073709551615"},
      {"string not UTF-8", entry("a", kString, gguf_string("\xc0\xaf")), "byte 37 (key a): a string that is not UTF-8"},
      {"bool of 2", entry("a", kBool, "\2"), "byte 37 (key a): a bool of 2"},
      {"bool of 255 in an array", array(kBool, 3, "\1\xff\1"), "byte 50 (key a): a bool of 255"},
      {"array past the end", array(kU32, 2, "1234567"),
       "byte 37 (key a): 2 elements of type uint32 do not fit in the 7 bytes"},
      {"array of 2^63", array(kU8, 1ULL << 63, "x"), "9223372036854775808 elements of type uint8 do"},
      {"array whose size wraps", array(kU64, (1ULL << 61) + 1, le64(0)), "elements of type uint64 do not fit in the 8"},
      {"strings that do not fit", array(kString, 2, le64(0) + "1234567"), "2 elements of type string do"},
      {"string in an array past the end", array(kString, 1, le64(9) + "12345678"),
       "byte 49 (key a): a string of 9 bytes"},
      {"arrays that do not fit", array(kArray, 1, "12345678901"), "1 elements of type array do"},
      {"deep arrays", nested(9), "(key a): arrays nested more than 8 deep"},
      {"very deep arrays", nested(200'000), "(key a): arrays nested more than 8 deep"},
      {"alignment 0", aligned(kU32, le32(0)), "byte 24: general.alignment is 0, not a power of two from 8"},
      {"alignment 4", aligned(kU32, le32(4)), "general.alignment is 4"},
      {"alignment 24", aligned(kU32, le32(24)), "general.alignment is 24"},
      {"alignment of 64 bits", aligned(kU64, le64(32)), "general.alignment is of type uint64, not uint32"},
      {"signed alignment", aligned(kI32, le32(32)), "general.alignment is of type int32, not uint32"},
      {"alignment as a string", aligned(kString, gguf_string("32")), "is of type string"},
  };
}

std::vector<Refused> refused_tensors() {
  const std::string sound = gguf_tensor("w", {8}, kF32Tensor, 0);
  const auto shape = [](const std::vector<std::uint64_t>& dimensions, std::uint32_t type = kF32Tensor) {
    return one_tensor(gguf_tensor("w", dimensions, type, 0));
  };
  return {
      {"empty name", one_tensor(gguf_tensor("", {8}, kF32Tensor, 0)), "byte 24: a tensor with an empty name"},
      {"long name", one_tensor(gguf_tensor(std::string(65, 'n'), {8}, kF32Tensor, 0)),
       "byte 24: a tensor's name of 65 bytes, the limit is 64"},
      {"name not UTF-8", one_tensor(gguf_tensor("\xff", {8}, kF32Tensor, 0)),
       "byte 24: a tensor's name that is not UTF-8"},
      {"name with a NUL", one_tensor(gguf_tensor(std::string_view("a\0b", 3), {8}, kF32Tensor, 0)),
       "a tensor's name with a NUL byte"},
      {"name past the end", preamble(3, 1, 0, le64(99) + std::string(17, 'x')), "the name of a tensor of 99 bytes"},
      {"duplicate name", gguf({}, {sound, gguf_tensor("w", {8}, kF32Tensor, 32)}, 64),
       "byte 57: tensor 'w' occurs twice"},
      {"five dimensions", shape({1, 1, 1, 1, 1}), "byte 33 (tensor w): 5 dimensions, the limit is 4"},
      {"2^32-1 dimensions", preamble(3, 1, 0, gguf_string("w") + le32(UINT32_MAX) + std::string(40, '\1')),
       "4294967295 dimensions, the limit is 4"},
      {"negative dimension", shape({1ULL << 63}), "byte 24 (tensor w): the product of the shape overflows 63 bits"},
      {"shape overflows", shape({1ULL << 32, 1ULL << 32}), "the product of the shape overflows"},
      {"shape overflows to 64 bits", shape({1ULL << 31, 1ULL << 32}), "the product of the shape overflows"},
      {"empty shape that overflows", shape({0, 1ULL << 32, 1ULL << 32}), "the product of the shape overflows"},
      {"size overflows", shape({1ULL << 62}), "the size of the tensor overflows"},
      // Padded to the alignment, these 2^64 - 16 bytes wrap to none: llama.cpp's issue 26978.
      {"padded size wraps", shape({4, (1ULL << 30) - 1, (1ULL << 30) + 1}), "the size of the tensor overflows"},
      {"half a block", shape({128}, kQ4K), "byte 45 (tensor w): rows of 128 elements are no whole blocks of Q4_K (256"},
      {"half a block in each row", shape({128, 2}, kQ4K), "rows of 128 elements are no whole blocks of Q4_K"},
      {"quantised scalar", shape({}, kQ4K), "rows of 1 elements"},
      {"type 43", of_type(43), "byte 45 (tensor w): unknown tensor type 43"},
      {"type 2^32-1", of_type(UINT32_MAX), "unknown tensor type 4294967295"},
      {"Q4_2", of_type(4), "byte 45 (tensor w): tensor type Q4_2, which ggml has removed"},
      {"Q4_3", of_type(5), "tensor type Q4_3, which"},
      {"Q4_0_4_4", of_type(31), "tensor type Q4_0_4_4, which"},
      {"Q4_0_4_8", of_type(32), "tensor type Q4_0_4_8, which"},
      {"Q4_0_8_8", of_type(33), "tensor type Q4_0_8_8, which"},
      {"IQ4_NL_4_4", of_type(36), "tensor type IQ4_NL_4_4, which"},
      {"IQ4_NL_4_8", of_type(37), "tensor type IQ4_NL_4_8, which"},
      {"IQ4_NL_8_8", of_type(38), "tensor type IQ4_NL_8_8, which"},
      {"unaligned offset", second_at(33), "byte 57 (tensor b): its offset 33 is not a multiple of the alignment 32"},
      {"unaligned by general.alignment",
       gguf({gguf_entry("general.alignment", kU32, le32(64))},
            {gguf_tensor("a", {3}, kI8Tensor, 0), gguf_tensor("b", {3}, kI8Tensor, 32)}, 128, 64),
       "its offset 32 is not a multiple of the alignment 64"},
      {"overlap", second_at(0), "byte 57 (tensor b): its offset 0 lies before 32, where tensor a ends"},
      {"hole", second_at(64, 96), "byte 57 (tensor b): a hole of 32 bytes before its offset 64"},
      {"hole at the start", one_tensor(gguf_tensor("w", {8}, kF32Tensor, 32), 64), "a hole of 32 bytes"},
      {"other order", gguf({}, {gguf_tensor("a", {3}, kI8Tensor, 32), gguf_tensor("b", {3}, kI8Tensor, 0)}, 35),
       "a hole"},
      {"offset past the end", second_at(96), "(tensor b): its offset 96 lies past the end of the data at 35"},
      {"offset of 2^64-32", second_at(UINT64_MAX - 31), "lies past the end of the data"},
      {"data cut", second_at(32, 34),
       "byte 57 (tensor b): its 3 bytes from offset 32 end past the end of the data at 34"},
      {"no data", gguf({}, {sound}, 0), "byte 57: the file ends before its data, which begins at byte 64 (cut file?)"},
      {"data far away", gguf({gguf_entry("general.alignment", kU32, le32(1U << 31))}, {sound}, 32),
       "which begins at byte 2147483648"},
  };
}

void check_refused(const std::vector<Refused>& files) {
  for (const Refused& refused : files) {
    CAPTURE(refused.about);
    const std::string message = refusal(refused.file);
    CHECK_MESSAGE(message.find(refused.message) != std::string::npos, message);
    CHECK(message.starts_with("m.gguf: byte "));
  }
}

}  // namespace

TEST_CASE("every rule of GGUF has a file that breaks it") {
  SUBCASE("of the first bytes") { check_refused(refused_preambles()); }
  SUBCASE("of metadata") { check_refused(refused_metadata()); }
  SUBCASE("of tensors") { check_refused(refused_tensors()); }
}

TEST_CASE("a GGUF file that is cut anywhere before the end of its last tensor is refused") {
  const std::string file = sound_file();
  REQUIRE(refusal(file).empty());
  for (std::size_t bytes = 0; bytes < file.size(); ++bytes) {
    CAPTURE(bytes);
    CHECK_FALSE(refusal(file.substr(0, bytes)).empty());
  }
}

TEST_CASE("a header that reaches past the part given is told from one that reaches past the file") {
  const std::string file = sound_file();
  const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(file.data()), file.size());
  CHECK(parse_gguf(bytes.first(file.size() - 458), file.size(), "m.gguf").tensors.size() == 2);
  CHECK_THROWS_WITH_AS(parse_gguf(bytes.first(100), file.size(), "m.gguf"),
                       doctest::Contains("15 metadata keys do not fit in the 76 bytes that were read after them"),
                       Error);
  CHECK_THROWS_WITH_AS(parse_gguf(bytes.first(file.size() - 500), file.size(), "m.gguf"),
                       doctest::Contains("reaches past the part of the file that was read"), Error);
}

TEST_CASE("two hundred thousand tensors and keys of one name are refused") {
  std::vector<std::string> tensors(200'000, gguf_tensor("w", {0}, kF32Tensor, 0));
  CHECK(refusal(gguf({}, tensors, 32)).find("tensor 'w' occurs twice") != std::string::npos);
  std::vector<std::string> entries(200'000, gguf_entry("a", kU8, "x"));
  CHECK(refusal(gguf(entries, {}, 0)).find("the key 'a' occurs twice") != std::string::npos);
}

TEST_CASE("no header is longer than its limit, whatever the file holds") {
  const test::TempDir dir;
  const fs::path path = dir / "m.gguf";
  const auto file_of = [&](const std::string& start, std::uint64_t bytes) {  // sparse: the rest is zeros
    test::write(path, start);
    fs::resize_file(path, bytes);
    return path;
  };
  const std::string array_of = "GGUF" + le32(3) + le64(0) + le64(1) + gguf_string("t") + le32(kArray) + le32(kU8);
  const std::uint64_t elements = kMaxGgufHeader - array_of.size() - 8;
  CHECK(GgufFile(file_of(array_of + le64(elements), 3 * kMaxGgufHeader)).header().metadata.size() == 1);
  CHECK_THROWS_WITH_AS(
      GgufFile(file_of(array_of + le64(elements + 1), 3 * kMaxGgufHeader)),
      doctest::Contains("elements of type uint8 do not fit in the 99999951 bytes that the limit of a header leaves"),
      Error);
  const std::string text =
      "GGUF" + le32(3) + le64(0) + le64(1) + gguf_string("t") + le32(kString) + le64(2 * kMaxGgufHeader);
  CHECK_THROWS_WITH_AS(
      GgufFile(file_of(text, 3 * kMaxGgufHeader)),
      doctest::Contains("(key t): a string of 200000000 bytes reaches past the limit of a header (100000000 bytes)"),
      Error);
  // Tensors count, too.
  CHECK_THROWS_WITH_AS(GgufFile(file_of("GGUF" + le32(3) + le64(5'000'000) + le64(0), 3 * kMaxGgufHeader)),
                       doctest::Contains("byte 8: 5000000 tensors do not fit"), Error);
}
