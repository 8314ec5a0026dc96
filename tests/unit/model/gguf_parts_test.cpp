#include <doctest/doctest.h>

#include "reef/model/gguf.h"
#include "unit/model/gguf_sample.h"

using namespace reef;
using namespace reef::model;
using namespace reef::test;

namespace {

std::pair<std::string, GgufHeader> part(const std::string& name, std::uint64_t no, std::uint64_t count,
                                        std::uint64_t total, const std::vector<std::string>& tensors) {
  std::vector<std::string> entries;
  for (std::size_t i = 0; i < tensors.size(); ++i) entries.push_back(gguf_tensor(tensors[i], {8}, kF32Tensor, 32 * i));
  return {name, parse(gguf({gguf_entry("split.no", kU16, le(no, 2)), gguf_entry("split.count", kU16, le(count, 2)),
                            gguf_entry("split.tensors.count", kI32, le32(total))},
                           entries, 32 * tensors.size()))};
}

std::string parts_refusal(const std::vector<std::pair<std::string, GgufHeader>>& files) {
  try {
    check_gguf_parts(files);
    return {};
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK_FALSE(e.hint().empty());
    return e.what();
  }
}

}  // namespace

TEST_CASE("names of parts are read and written") {
  const auto name = GgufPartName::parse("llama-7b-Q4_K-00002-of-00013.gguf");
  REQUIRE(name);
  CHECK(name->stem == "llama-7b-Q4_K");
  CHECK(name->number == 2);
  CHECK(name->count == 13);
  CHECK(name->to_string() == "llama-7b-Q4_K-00002-of-00013.gguf");
  REQUIRE(GgufPartName::parse("a-00001-of-100000.gguf"));
  for (const char* other : {"m.gguf", "m-00001-of-00002.safetensors", "m-1-of-2.gguf", "m-00000-of-00002.gguf",
                            "m-00003-of-00002.gguf", "m-00001-00002.gguf", "m00001-of-00002.gguf", "-of-.gguf",
                            "m-000001-of-00002.gguf", "m-00001-of-99999999999999999999.gguf", ""}) {
    CAPTURE(other);
    CHECK_FALSE(GgufPartName::parse(other));
  }
}

TEST_CASE("a whole split model is accepted in any order") {
  const auto first = part("m-00001-of-00003.gguf", 0, 3, 3, {});
  const auto second = part("m-00002-of-00003.gguf", 1, 3, 3, {"a", "b"});
  const auto third = part("m-00003-of-00003.gguf", 2, 3, 3, {"c"});
  CHECK(parts_refusal({third, first, second}).empty());
  CHECK(gguf_part(second.second, "m")->index == 1);
  CHECK(gguf_part(second.second, "m")->count == 3);
  CHECK(gguf_part(second.second, "m")->tensors == 3);
}

TEST_CASE("a file that is not split is a whole model under any name") {
  CHECK(parts_refusal({{"m.gguf", parse(sound_file())}}).empty());
  CHECK(parts_refusal({part("merged.gguf", 0, 0, 1, {"a"})}).empty());
  CHECK(parts_refusal({part("m.gguf", 0, 1, 1, {"a"})}).empty());
}

TEST_CASE("parts that are not one whole model are refused") {
  const auto first = part("m-00001-of-00002.gguf", 0, 2, 2, {"a"});
  const auto second = part("m-00002-of-00002.gguf", 1, 2, 2, {"b"});
  struct Case {
    const char* about;
    std::vector<std::pair<std::string, GgufHeader>> files;
    const char* message;
  };
  const auto whole_entry = [](std::string_view key, std::uint32_t type, std::string_view value) {
    return parse(gguf({gguf_entry("split.count", kU16, le(2, 2)), gguf_entry(key, type, value)}, {}, 0));
  };
  const std::vector<Case> cases{
      {"last part missing", {first}, "m-00001-of-00002.gguf: m-00002-of-00002.gguf is missing, part 2 of 2"},
      {"first part missing", {second}, "m-00001-of-00002.gguf is missing, part 1 of 2"},
      {"a part twice", {first, second, second}, "m-00002-of-00002.gguf: is given twice"},
      {"a whole model among them", {first, {"other.gguf", parse(sound_file())}}, "other.gguf: is a whole model among"},
      {"renamed",
       {first, part("m-00003-of-00003.gguf", 1, 2, 2, {"b"})},
       "m-00003-of-00003.gguf: is part 2 of 2 by its header, and would be called m-00002-of-00002.gguf"},
      {"swapped",
       {part("m-00002-of-00002.gguf", 0, 2, 2, {"a"}), part("m-00001-of-00002.gguf", 1, 2, 2, {"b"})},
       "is part 1 of 2 by its header"},
      {"other stem", {first, part("n-00002-of-00002.gguf", 1, 2, 2, {"b"})}, "would be called m-00002-of-00002.gguf"},
      {"no number in the name",
       {part("m.gguf", 0, 2, 2, {"a"}), second},
       "m.gguf: is part 1 of 2, but is not called like 'NAME-00001-of-00002.gguf'"},
      {"other count", {first, part("m-00002-of-00003.gguf", 1, 3, 2, {"b"})}, "says that the model has 3 parts"},
      {"other number of tensors",
       {first, part("m-00002-of-00002.gguf", 1, 2, 3, {"b"})},
       "says that the model has 2 parts with 3 tensors, m-00001-of-00002.gguf says 2 with 2"},
      {"a tensor in two parts",
       {first, part("m-00002-of-00002.gguf", 1, 2, 2, {"a"})},
       "m-00001-of-00002.gguf: tensor 'a' is in m-00002-of-00002.gguf too"},
      {"too few tensors",
       {first, part("m-00002-of-00002.gguf", 1, 2, 2, {})},
       "m-00001-of-00002.gguf: the 2 parts hold 1 tensors, they say 2"},
      {"number past the count", {part("m-00003-of-00002.gguf", 2, 2, 2, {"a"})}, "split.no is 2, counted from 0"},
      {"no split.no", {{"m", whole_entry("a", kU8, "x")}}, "m: a part of a split model without split.no"},
      {"split.no is a string", {{"m", whole_entry("split.no", kString, gguf_string("1"))}}, "split.no is a string"},
      {"negative split.no", {{"m", whole_entry("split.no", kI32, le32(UINT32_MAX))}}, "split.no is -1, not a count"},
      {"no split.tensors.count", {{"m", whole_entry("split.no", kU8, le(0, 1))}}, "without split.tensors.count"},
      {"2^32-1 parts",
       {{"m", parse(gguf({gguf_entry("split.count", kU32, le32(UINT32_MAX))}, {}, 0))}},
       "split.count is 4294967295, the limit is 65535"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.about);
    const std::string message = parts_refusal(c.files);
    CHECK_MESSAGE(message.find(c.message) != std::string::npos, message);
  }
}
