#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/model/safetensors.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

namespace {

/// The message of the refusal without the file's name; "accepted" when there is none.
std::string refusal(std::string_view file) {
  try {
    parse_safetensors({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, file.size(), "m");
    return "accepted";
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK_FALSE(e.hint().empty());
    const std::string message = e.what();
    REQUIRE(message.starts_with("m: "));
    return message.substr(3);
  }
}

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string file;
  for (unsigned shift = 0; shift < 64; shift += 8) file += static_cast<char>(length >> shift & 0xFF);
  return file + std::string(rest);
}

std::string json(std::string_view text, std::size_t data = 8) { return test::safetensors(text, data); }
/// One tensor, w; its fields begin at byte 14.
std::string fields(std::string_view text, std::size_t data = 8) {
  return json(fmt::format(R"({{"w":{{{}}}}})", text), data);
}
std::string offsets(std::string_view text) {
  return fields(R"("dtype":"F32","shape":[2],"data_offsets":)" + std::string(text));
}
std::string shape(std::string_view text) {
  return fields(R"("data_offsets":[0,8],"dtype":"F32","shape":)" + std::string(text));
}
std::string dtype(std::string_view text) {
  return fields(R"("shape":[2],"data_offsets":[0,8],"dtype":)" + std::string(text));
}
std::string metadata(std::string_view text) { return json(fmt::format(R"({{"__metadata__":{}}})", text), 0); }
/// Bytes from `begin` to `end` as a tensor called `name`, written as an entry of the header.
std::string entry(std::string_view name, int begin, int end) {
  return fmt::format(R"("{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})", name, end - begin, begin, end);
}
std::string entries(const std::string& first, const std::string& second, std::size_t data = 8) {
  return json(fmt::format("{{{},{}}}", first, second), data);
}
std::string deep(std::string_view opening) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += opening;
  return text;
}

struct Refused {
  const char* about;
  std::string file;
  const char* message;  ///< all of it after the file's name: byte, tensor, rule
};

std::vector<Refused> frames() {
  using namespace std::string_literals;
  return {
      {"empty file", "", "byte 0: the file has 0 bytes, shorter than its 8-byte length field"},
      {"one byte", "1", "byte 1: the file has 1 byte, shorter than its 8-byte length field"},
      {"seven bytes", "1234567", "byte 7: the file has 7 bytes, shorter than its 8-byte length field"},
      {"length past the end", with_length(100, "{}"),
       "byte 0: a header of 100 bytes reaches past the end of the file (10 bytes)"},
      {"length one past the end", with_length(3, "{}"),
       "byte 0: a header of 3 bytes reaches past the end of the file (10 bytes)"},
      {"the largest length, past the end", with_length(100'000'000, "{}"),
       "byte 0: a header of 100000000 bytes reaches past the end of the file (10 bytes)"},
      {"length over the limit", with_length(100'000'001, "{}"),
       "byte 0: a header of 100000001 bytes, the limit is 100000000"},
      {"length of 64 bits", with_length(UINT64_MAX, "{}"),
       "byte 0: a header of 18446744073709551615 bytes, the limit is 100000000"},
      {"length that wraps with its field", with_length(UINT64_MAX - 7, "{}"),
       "byte 0: a header of 18446744073709551608 bytes, the limit is 100000000"},
      {"length zero", with_length(0, "{}"), "byte 0: the header is empty"},
      {"an array", json("[]", 0), "byte 8: the header does not begin with '{'"},
      {"space first", json(" {}", 0), "byte 8: the header does not begin with '{'"},
      {"newline first", json("\n{}", 0), "byte 8: the header does not begin with '{'"},
      {"byte order mark", json("\xEF\xBB\xBF{}", 0), "byte 8: the header does not begin with '{'"},
      {"NUL padding", json("{}\0\0"s, 0), "byte 10: NUL bytes after the JSON object (padding must be spaces)"},
      {"NUL in between", json("{\0}"s, 0), "byte 9: a key is expected here"},
      {"form feed", json("{}\f", 0), "byte 10: bytes after the JSON object"},
      {"a byte after the object", json("{}x", 0), "byte 10: bytes after the JSON object"},
      {"a second object", json("{} {}", 0), "byte 11: bytes after the JSON object"},
      {"cut after the brace", json("{", 0), "byte 9: the JSON ends where a key is expected"},
      {"cut in a name", json(R"({"w)"), "byte 11: the JSON ends inside a string"},
      {"cut in an escape", json(R"({"w\)"), "byte 12: the JSON ends inside a string"},
      {"cut in a code", json(R"({"w\u00)"), R"(byte 13: four hexadecimal digits must follow \u)"},
      {"cut after a name", json(R"({"w")"), "byte 12: the JSON ends where ':' after a key is expected"},
      {"cut before a value", json(R"({"w":)"),
       "byte 13 (tensor w): the JSON ends where an object with dtype, shape and data_offsets is expected"},
      {"cut in a tensor", json(R"({"w":{"dtype":"F32")"),
       "byte 27 (tensor w): the JSON ends where ',' or '}' is expected"},
      {"cut in an array", json(R"({"w":{"shape":[2)"),
       "byte 24 (tensor w): the JSON ends where ',' or ']' is expected"},
      {"cut before the last brace", json(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
       "byte 61: the JSON ends where ',' or '}' is expected"},
      {"trailing comma", json("{" + entry("w", 0, 8) + ",}"), "byte 61: a key is expected here"},
      {"no comma", fields(R"("dtype":"F32" "shape":[2])"), "byte 28 (tensor w): ',' or '}' is expected here"},
      {"no colon", json(R"({"w" 1})"), "byte 13: ':' after a key is expected here"},
      {"name without quotes", json("{w:1}"), "byte 9: a key is expected here"},
      {"single quotes", json("{'w':1}"), "byte 9: a key is expected here"},
      {"a comment", json("{/**/}", 0), "byte 9: a key is expected here"},
  };
}

std::vector<Refused> strings() {
  using namespace std::string_literals;
  return {
      {"bad UTF-8", json("{\"\xff\":{}}"), "byte 10: a string that is not UTF-8"},
      {"overlong UTF-8", json("{\"\xc0\xaf\":{}}"), "byte 10: a string that is not UTF-8"},
      {"a surrogate in UTF-8", json("{\"\xed\xa0\x80\":{}}"), "byte 10: a string that is not UTF-8"},
      {"UTF-8 past U+10FFFF", json("{\"\xf4\x90\x80\x80\":{}}"), "byte 10: a string that is not UTF-8"},
      {"cut UTF-8", json("{\"\xe2\x82\":{}}"), "byte 10: a string that is not UTF-8"},
      {"bad UTF-8 in a dtype", dtype("\"F32\xff\""), "byte 59 (tensor w): a string that is not UTF-8"},
      {"bad UTF-8 in metadata", metadata("{\"a\":\"\xff\"}"), "byte 30 (in __metadata__): a string that is not UTF-8"},
      {"bad UTF-8 outside strings", json("{\xff}", 0), "byte 9: a key is expected here"},
      {"high surrogate", json(R"({"\ud800":{}})"), "byte 10: a lone surrogate in a string"},
      {"low surrogate", json(R"({"\udc00":{}})"), "byte 10: a lone surrogate in a string"},
      {"two high surrogates", json(R"({"\ud800\ud800":{}})"), "byte 10: a lone surrogate in a string"},
      {"high surrogate and a letter", json(R"({"\ud800\u0041":{}})"), "byte 10: a lone surrogate in a string"},
      {"high surrogate and a letter beyond", json(R"({"\ud800\ue000":{}})"), "byte 10: a lone surrogate in a string"},
      {"high surrogate and no escape", json(R"({"\ud800a":{}})"), "byte 10: a lone surrogate in a string"},
      {"surrogate in metadata", metadata(R"({"a":"x\udfff"})"),
       "byte 31 (in __metadata__): a lone surrogate in a string"},
      {"short code", json(R"({"\u12":{}})"), R"(byte 12: four hexadecimal digits must follow \u)"},
      {"signed code", json(R"({"\u-001":{}})"), R"(byte 12: four hexadecimal digits must follow \u)"},
      {"unknown escape", json(R"({"\x41":{}})"), "byte 10: an unknown escape in a string"},
      {"newline in a name", json("{\"a\nb\":{}}"), "byte 11: a control byte in a string"},
      {"NUL in a name", json("{\"a\0b\":{}}"s), "byte 11: a control byte in a string"},
      {"the last control byte, in a dtype", dtype("\"F32\x1f\""), "byte 59 (tensor w): a control byte in a string"},
      {"tab in metadata", metadata("{\"a\":\"\t\"}"), "byte 30 (in __metadata__): a control byte in a string"},
      {"metadata of numbers", metadata(R"({"a":1})"),
       "byte 29 (in __metadata__): a string (metadata holds strings only) is expected here"},
      {"metadata of null", metadata(R"({"a":null})"),
       "byte 29 (in __metadata__): a string (metadata holds strings only) is expected here"},
      {"metadata of objects", metadata(R"({"a":{"b":"c"}})"),
       "byte 29 (in __metadata__): a string (metadata holds strings only) is expected here"},
      {"metadata is null", metadata("null"), "byte 24 (in __metadata__): an object of strings is expected here"},
      {"metadata is an array", metadata("[]"), "byte 24 (in __metadata__): an object of strings is expected here"},
      {"metadata is a string", metadata(R"("a")"), "byte 24 (in __metadata__): an object of strings is expected here"},
      {"metadata is a tensor", json("{" + entry("__metadata__", 0, 8) + "}"),
       "byte 46 (in __metadata__): a string (metadata holds strings only) is expected here"},
  };
}

std::vector<Refused> duplicates_and_cover() {
  return {
      {"duplicate tensor", entries(entry("w", 0, 4), entry("w", 4, 8)), "byte 61: tensor 'w' occurs twice"},
      {"the same twice", entries(entry("w", 0, 8), entry("w", 0, 8)), "byte 61: tensor 'w' occurs twice"},
      {"the same name escaped", entries(entry("w", 0, 4), entry("\\u0077", 4, 8)), "byte 61: tensor 'w' occurs twice"},
      {"duplicate dtype", fields(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])"),
       "byte 28 (tensor w): the field 'dtype' occurs twice"},
      {"duplicate shape", fields(R"("dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8])"),
       "byte 40 (tensor w): the field 'shape' occurs twice"},
      {"duplicate offsets", fields(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8])"),
       "byte 61 (tensor w): the field 'data_offsets' occurs twice"},
      {"a field twice, once escaped", fields(R"("dtype":"F32","\u0064type":"F32")"),
       "byte 28 (tensor w): the field 'dtype' occurs twice"},
      {"duplicate metadata key", metadata(R"({"a":"1","b":"2","a":"1"})"),
       "byte 41 (in __metadata__): the key 'a' occurs twice"},
      {"metadata key escaped", metadata(R"({"a":"1","\u0061":"1"})"),
       "byte 33 (in __metadata__): the key 'a' occurs twice"},
      {"two metadata", json(R"({"__metadata__":{},"__metadata__":{}})", 0), "byte 27: __metadata__ occurs twice"},
      {"overlap", entries(entry("a", 0, 5), entry("b", 4, 8)), "byte 117: tensor b overlaps tensor a"},
      {"overlap against the order of the header", entries(entry("b", 4, 8), entry("a", 0, 5)),
       "byte 117: tensor b overlaps tensor a"},
      {"two tensors of the same bytes", entries(entry("a", 0, 8), entry("b", 0, 8)),
       "byte 113: tensor b overlaps tensor a"},
      {"a tensor within a tensor", entries(entry("a", 0, 8), entry("b", 2, 4)), "byte 115: tensor b overlaps tensor a"},
      {"an empty tensor within a tensor", entries(entry("a", 0, 8), entry("b", 4, 4)),
       "byte 117: tensor b overlaps tensor a"},
      {"hole", entries(entry("a", 0, 3), entry("b", 5, 8)), "byte 116: a hole of 2 bytes before tensor b"},
      {"hole at the start", json("{" + entry("w", 1, 8) + "}"), "byte 61: a hole of 1 byte before tensor w"},
      {"hole before an empty tensor", entries(entry("a", 0, 4), entry("b", 8, 8)),
       "byte 117: a hole of 4 bytes before tensor b"},
      {"trailing byte", json(test::kOneTensor, 9), "byte 70: 1 byte after tensor w, the last one"},
      {"trailing bytes after an empty tensor", json("{" + entry("w", 0, 0) + "}", 2),
       "byte 61: 2 bytes after tensor w, the last one"},
      {"data without tensors", json("{}", 3), "byte 10: 3 bytes of data without a tensor"},
      {"truncated data", json(test::kOneTensor, 7),
       "byte 55 (tensor w): data_offsets end at 8, past the end of the data at 7 (cut file?)"},
      {"no data", json(test::kOneTensor, 0),
       "byte 55 (tensor w): data_offsets end at 8, past the end of the data at 0 (cut file?)"},
      {"an empty tensor past the data", json("{" + entry("w", 9, 9) + "}"),
       "byte 54 (tensor w): data_offsets end at 9, past the end of the data at 8 (cut file?)"},
      {"end of 64 bits", offsets("[0,18446744073709551615]"),
       "byte 55 (tensor w): data_offsets end at 18446744073709551615, past the end of the data at 8 (cut file?)"},
      {"begin after end", offsets("[8,0]"), "byte 55 (tensor w): data_offsets begin at 8 after their end at 0"},
  };
}

std::vector<Refused> tensors() {
  return {
      {"one offset", offsets("[8]"), "byte 55 (tensor w): data_offsets must be two numbers, there are 1"},
      {"three offsets", offsets("[0,8,8]"), "byte 55 (tensor w): data_offsets must be two numbers, there are more"},
      {"no offsets", offsets("[]"), "byte 55 (tensor w): data_offsets must be two numbers, there are 0"},
      {"offsets are no array", offsets(R"({"0":0,"1":8})"),
       "byte 55 (tensor w): an array of two offsets is expected here"},
      {"offsets are null", offsets("null"), "byte 55 (tensor w): an array of two offsets is expected here"},
      {"float", offsets("[0,8.0]"), "byte 58 (tensor w): an offset is not an integer"},
      {"exponent", offsets("[0,8e0]"), "byte 58 (tensor w): an offset is not an integer"},
      {"negative", offsets("[-1,8]"), "byte 56 (tensor w): an offset is negative"},
      {"negative zero", offsets("[-0,8]"), "byte 56 (tensor w): an offset is negative"},
      {"65 bits", offsets("[0,18446744073709551616]"), "byte 58 (tensor w): an offset does not fit in 64 bits"},
      {"a hundred digits", offsets("[0," + std::string(100, '9') + "]"),
       "byte 58 (tensor w): an offset does not fit in 64 bits"},
      {"leading zero", offsets("[0,08]"), "byte 58 (tensor w): a number with a leading zero"},
      {"plus", offsets("[0,+8]"), "byte 58 (tensor w): an offset is expected here"},
      {"hexadecimal", offsets("[0,0x8]"), "byte 59 (tensor w): ',' or ']' is expected here"},
      {"digits as a string", offsets(R"([0,"8"])"), "byte 58 (tensor w): an offset is expected here"},
      {"NaN", offsets("[0,NaN]"), "byte 58 (tensor w): an offset is expected here"},
      {"bare point", offsets("[0,8.]"), "byte 60 (tensor w): a digit is expected here"},
      {"bare exponent", offsets("[0,8e]"), "byte 60 (tensor w): a digit is expected here"},
      {"float size", shape("[2.0]"), "byte 58 (tensor w): a size is not an integer"},
      {"exponent as size", shape("[2E0]"), "byte 58 (tensor w): a size is not an integer"},
      {"negative size", shape("[-2]"), "byte 58 (tensor w): a size is negative"},
      {"65-bit size", shape("[18446744073709551616]"), "byte 58 (tensor w): a size does not fit in 64 bits"},
      {"null size", shape("[null]"), "byte 58 (tensor w): a size is expected here"},
      {"sizes in an array", shape("[[2]]"), "byte 58 (tensor w): a size is expected here"},
      {"shape is a number", shape("2"), "byte 57 (tensor w): an array of sizes is expected here"},
      {"shape is null", shape("null"), "byte 57 (tensor w): an array of sizes is expected here"},
      {"size above the shape's", shape("[1]"),
       "byte 9 (tensor w): shape [1] of F32 takes 4 bytes, data_offsets give 8"},
      {"size below the shape's", shape("[3]"),
       "byte 9 (tensor w): shape [3] of F32 takes 12 bytes, data_offsets give 8"},
      {"an empty shape of 8 bytes", shape("[]"),
       "byte 9 (tensor w): shape [] of F32 takes 4 bytes, data_offsets give 8"},
      {"a zero of 8 bytes", shape("[2,0]"), "byte 9 (tensor w): shape [2,0] of F32 takes 0 bytes, data_offsets give 8"},
      {"many sizes", shape("[9,9,9,9,9,9,9,9,9,9,9,9]"),
       "byte 9 (tensor w): shape [9,9,9,9,9,9,9,9,…] of F32 takes 1129718145924 bytes, data_offsets give 8"},
      {"the product overflows", shape("[4294967296,4294967296]"),
       "byte 9 (tensor w): the product of the shape overflows 64 bits"},
      {"the product overflows before a zero", shape("[4294967296,4294967296,0]"),
       "byte 9 (tensor w): the product of the shape overflows 64 bits"},
      {"the bits overflow", shape("[576460752303423488]"),
       "byte 9 (tensor w): the size of the tensor overflows 64 bits"},
      {"half a byte", fields(R"("dtype":"F4","shape":[3],"data_offsets":[0,1])", 1),
       "byte 9 (tensor w): 12 bits of F4 are no whole number of bytes"},
      {"a half byte alone", fields(R"("dtype":"F4","shape":[],"data_offsets":[0,0])", 0),
       "byte 9 (tensor w): 4 bits of F4 are no whole number of bytes"},
      {"six bits", fields(R"("dtype":"F6_E2M3","shape":[1],"data_offsets":[0,1])", 1),
       "byte 9 (tensor w): 6 bits of F6_E2M3 are no whole number of bytes"},
      {"eighteen bits", fields(R"("dtype":"F6_E3M2","shape":[3],"data_offsets":[0,2])", 2),
       "byte 9 (tensor w): 18 bits of F6_E3M2 are no whole number of bytes"},
      {"no dtype", fields(R"("shape":[2],"data_offsets":[0,8])"), "byte 9 (tensor w): dtype is missing"},
      {"no shape", fields(R"("dtype":"F32","data_offsets":[0,8])"), "byte 9 (tensor w): shape is missing"},
      {"no data_offsets", fields(R"("dtype":"F32","shape":[2])"), "byte 9 (tensor w): data_offsets is missing"},
      {"no fields", fields(""), "byte 9 (tensor w): dtype is missing"},
      {"unknown dtype", dtype(R"("F31")"), "byte 55 (tensor w): unknown dtype 'F31'"},
      {"lower-case dtype", dtype(R"("f32")"), "byte 55 (tensor w): unknown dtype 'f32'"},
      {"empty dtype", dtype(R"("")"), "byte 55 (tensor w): unknown dtype ''"},
      {"dtype with a space", dtype(R"("F32 ")"), "byte 55 (tensor w): unknown dtype 'F32 '"},
      {"dtype is null", dtype("null"), "byte 55 (tensor w): the name of a dtype is expected here"},
      {"dtype is an object", dtype(R"({"F32":null})"), "byte 55 (tensor w): the name of a dtype is expected here"},
      {"unknown field", dtype(R"("F32","extra":1)"), "byte 61 (tensor w): unknown field 'extra'"},
      {"field in upper case", fields(R"("DTYPE":"F32")"), "byte 14 (tensor w): unknown field 'DTYPE'"},
      {"a tensor is an array", json(R"({"w":["F32",[2],[0,8]]})"),
       "byte 13 (tensor w): an object with dtype, shape and data_offsets is expected here"},
      {"a tensor is null", json(R"({"w":null})"),
       "byte 13 (tensor w): an object with dtype, shape and data_offsets is expected here"},
  };
}

std::vector<Refused> nesting() {
  return {
      {"arrays as a tensor", json(R"({"w":)" + deep("["), 0),
       "byte 13 (tensor w): an object with dtype, shape and data_offsets is expected here"},
      {"objects as a tensor", json(R"({"w":)" + deep(R"({"a":)"), 0), "byte 14 (tensor w): unknown field 'a'"},
      {"arrays as a shape", shape(deep("[")), "byte 58 (tensor w): a size is expected here"},
      {"arrays as offsets", offsets(deep("[")), "byte 56 (tensor w): an offset is expected here"},
      {"objects as a dtype", dtype(deep(R"({"F32":)")), "byte 55 (tensor w): the name of a dtype is expected here"},
      {"arrays in an unknown field", dtype(R"("F32","x":)" + deep("[")), "byte 61 (tensor w): unknown field 'x'"},
      {"objects in metadata", metadata(R"({"a":)" + deep(R"({"a":)")),
       "byte 29 (in __metadata__): a string (metadata holds strings only) is expected here"},
  };
}

void check_all(const std::vector<Refused>& table) {
  for (const Refused& refused : table) {
    CAPTURE(refused.about);
    CHECK(refusal(refused.file) == refused.message);
  }
}

}  // namespace

// One file for each rule, and all of what is said of it: the byte, the tensor, the rule.
TEST_CASE("a header that breaks a rule of its frame is refused") { check_all(frames()); }
TEST_CASE("a header that breaks a rule of strings or metadata is refused") { check_all(strings()); }
TEST_CASE("a header with duplicates, overlaps or holes is refused") { check_all(duplicates_and_cover()); }
TEST_CASE("a tensor that breaks a rule is refused") { check_all(tensors()); }
TEST_CASE("200,000-deep nesting is refused where it begins") { check_all(nesting()); }

TEST_CASE("a million tensors of the same bytes are refused in linear time") {
  std::string text = "{";
  for (int i = 0; i < 1'000'000; ++i) {
    if (i != 0) text += ',';
    text += '"';
    text += std::to_string(1'000'000 + i);
    text += R"(":{"dtype":"U8","shape":[],"data_offsets":[0,1]})";
  }
  CHECK(refusal(json(text + "}", 1)) == "byte 57000009: tensor 1000001 overlaps tensor 1000000");
}
