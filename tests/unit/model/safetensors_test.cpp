#include "reef/model/safetensors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <ctime>

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

/// The message of the refusal; empty when the file is accepted.
std::string refusal(std::string_view file) {
  try {
    parse(file);
    return {};
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK_FALSE(e.hint().empty());
    return e.what();
  }
}

std::string tensor(std::string_view fields) { return fmt::format(R"({{"w":{{{}}}}})", fields); }

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string file;
  for (unsigned shift = 0; shift < 64; shift += 8) file += static_cast<char>(length >> shift & 0xFF);
  return file + std::string(rest);
}

struct Refused {
  const char* about;
  std::string file;
  const char* message;  ///< a part of it
};

/// One file for each rule; `message` pins the byte where it is told.
std::vector<Refused> refused_files() {
  using test::safetensors;
  const auto json = [](std::string_view text, std::size_t data = 8) { return safetensors(text, data); };
  const auto fields = [&](std::string_view text, std::size_t data = 8) { return safetensors(tensor(text), data); };
  const std::string shape = R"("dtype":"F32","shape":[2],)";
  return {
      {"empty", "", "byte 0: the file has 0 bytes"},
      {"shorter than the length", "1234567", "shorter than its 8-byte length field"},
      {"length past the end", with_length(100, "{}"), "byte 0: a header of 100 bytes reaches past the end"},
      {"length over the limit", with_length(100'000'001, "{}"), "the limit is 100000000"},
      {"length of 64 bits", with_length(UINT64_MAX, "{}"), "the limit is"},
      {"length zero", with_length(0, "{}"), "byte 0: the header is empty"},
      {"not an object", json("[]"), "byte 8: the header does not begin with '{'"},
      {"space first", json(" {}", 0), "does not begin with '{'"},
      {"bad UTF-8", json("{\"\xff\":{}}"), "byte 10: a string that is not UTF-8"},
      {"overlong UTF-8", json("{\"\xc0\xaf\":{}}"), "not UTF-8"},
      {"NUL padding", json(std::string("{}\0\0", 4), 0), "byte 10: NUL bytes after the JSON object"},
      {"cut in a string", json("{\"w"), "the JSON ends inside a string"},
      {"cut in an object", json(R"({"w":{"dtype":"F32")"), "the JSON ends where"},
      {"bytes after the object", json("{}x", 0), "byte 10: bytes after the JSON object"},
      {"duplicate tensor",
       json(
           R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
       "byte 61: tensor 'w' occurs twice"},
      {"the same name escaped",
       json(
           R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0077":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
       "tensor 'w' occurs twice"},
      {"duplicate field", fields(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"),
       "(tensor w): the field 'dtype' occurs twice"},
      {"duplicate metadata", json(R"({"__metadata__":{"a":"1","a":"2"}})", 0), "the key 'a' occurs twice"},
      {"two metadata", json(R"({"__metadata__":{},"__metadata__":{}})", 0), "__metadata__ occurs twice"},
      {"overlap",
       json(
           R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
       "tensor b overlaps tensor a"},
      {"hole",
       json(
           R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
       "a hole of 1 bytes before tensor b"},
      {"hole at the start", fields(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "a hole of 4 bytes"},
      {"trailing bytes", json(test::kOneTensor, 9), "1 bytes after the last tensor"},
      {"data without tensors", json("{}", 3), "3 bytes after the last tensor"},
      {"truncated data", json(test::kOneTensor, 7), "past the end of the data at 7"},
      {"begin after end", fields(shape + R"("data_offsets":[8,0])"), "begin at 8 after their end at 0"},
      {"one offset", fields(shape + R"("data_offsets":[8])"), "there are 1"},
      {"three offsets", fields(shape + R"("data_offsets":[0,8,8])"), "there are more"},
      {"no offsets", fields(shape + R"("data_offsets":[])"), "there are 0"},
      {"float offset", fields(shape + R"("data_offsets":[0,8.0])"), "an offset is not an integer"},
      {"exponent", fields(shape + R"("data_offsets":[0,8e0])"), "an offset is not an integer"},
      {"negative offset", fields(shape + R"("data_offsets":[-0,8])"), "an offset is negative"},
      {"65-bit offset", fields(shape + R"("data_offsets":[0,18446744073709551616])"), "does not fit in 64 bits"},
      {"leading zero", fields(shape + R"("data_offsets":[00,8])"), "a number with a leading zero"},
      {"negative size", fields(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "a size is negative"},
      {"size and shape", fields(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       "(tensor w): shape [3] of F32 takes 12 bytes, data_offsets give 8"},
      {"shape overflows", fields(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
       "the product of the shape overflows"},
      {"bits overflow", fields(R"("dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,8])"),
       "overflows 64 bits"},
      {"half a byte", fields(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])", 1), "no whole number of bytes"},
      {"no dtype", fields(R"("shape":[2],"data_offsets":[0,8])"), "dtype is missing"},
      {"no shape", fields(R"("dtype":"F32","data_offsets":[0,8])"), "shape is missing"},
      {"no data_offsets", fields(R"("dtype":"F32","shape":[2])"), "data_offsets is missing"},
      {"unknown dtype", fields(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), "unknown dtype 'F31'"},
      {"lower-case dtype", fields(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])"), "unknown dtype 'f32'"},
      {"metadata of numbers", json(R"({"__metadata__":{"a":1}})", 0), "metadata holds strings only"},
      {"metadata null", json(R"({"__metadata__":null})", 0), "an object of strings is expected"},
      {"unknown field", fields(shape + R"("data_offsets":[0,8],"extra":1)"), "unknown field 'extra'"},
      {"high surrogate", json(R"({"\ud800":{}})"), "byte 10: a lone surrogate"},
      {"low surrogate", json(R"({"\udc00":{}})"), "a lone surrogate"},
      {"two high surrogates", json(R"({"\ud800\ud800":{}})"), "a lone surrogate"},
      {"short escape", json(R"({"\u12":{}})"), "four hexadecimal digits"},
      {"unknown escape", json(R"({"\x":{}})"), "an unknown escape"},
      {"control byte", json("{\"a\nb\":{}}"), "byte 11: a control byte in a string"},
      {"nesting", json("{\"w\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}", 0),
       "an object with dtype, shape and data_offsets is expected"},
      {"nested metadata", json("{\"__metadata__\":{\"a\":" + std::string(200'000, '{') + "}}", 0), "strings only"},
      {"trailing comma", json(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},})"), "a key is expected"},
      {"no comma", fields(R"("dtype":"F32" "shape":[2],"data_offsets":[0,8])"), "',' or '}' is expected"},
      {"shape is no array", fields(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), "an array of sizes is expected"},
  };
}

}  // namespace

TEST_CASE("every rule of the format has a file that breaks it") {
  for (const Refused& refused : refused_files()) {
    CAPTURE(refused.about);
    const std::string message = refusal(refused.file);
    CHECK_MESSAGE(message.find(refused.message) != std::string::npos, message);
    CHECK(message.starts_with("m.safetensors: byte "));
  }
}

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

TEST_CASE("elements smaller than a byte fill whole bytes") {
  const auto header = parse(test::safetensors(R"({"w":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", 3));
  CHECK(header.tensors[0].elements() == 4);
}

TEST_CASE("unaligned tensors are legal and told") {
  const std::string json =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const auto header = parse(test::safetensors(json, 5));
  CHECK(header.is_aligned(header.tensors[0]));
  CHECK_FALSE(header.is_aligned(header.tensors[1]));
}

TEST_CASE("every dtype is known by its name") {
  for (const std::string_view name :
       {"BOOL", "U8",  "I8",  "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16",  "U16", "F16", "BF16",    "I32",     "U32",     "F32",         "C64",
        "F64",  "I64", "U64", "F4",      "F6_E2M3", "F6_E3M2"}) {
    CAPTURE(name);
    const auto header =
        parse(test::safetensors(fmt::format(R"({{"w":{{"dtype":"{}","shape":[0],"data_offsets":[0,0]}}}})", name), 0));
    CHECK(dtype_name(header.tensors[0].dtype) == name);
  }
}

TEST_CASE("a quarter of a million overlapping tensors are refused in linear time") {
  std::string json = "{";
  for (int i = 0; i < 250'000; ++i) {
    json += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", i == 0 ? "" : ",", i);
  }
  json += "}";
  const std::string file = test::safetensors(json, 8);
  const std::clock_t start = std::clock();  // CPU time: the machine may be busy
  CHECK(refusal(file).find("overlaps") != std::string::npos);
  CHECK((std::clock() - start) / CLOCKS_PER_SEC < 30);
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
