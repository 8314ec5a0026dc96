#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/model/safetensors.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

namespace {

using Shards = std::vector<std::pair<std::string, SafetensorsHeader>>;

SafetensorsHeader shard(std::string_view tensor) {
  const std::string file =
      test::safetensors(fmt::format(R"({{"{}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}})", tensor), 8);
  return parse_safetensors({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, file.size(), "shard");
}

const Shards kShards{{"1.safetensors", shard("a")}, {"2.safetensors", shard("b")}};

void check(std::string_view json) { check_shard_index(parse_shard_index(json, "index"), kShards, "index"); }

/// The message of the refusal without the file's name; "accepted" when there is none.
std::string refusal(std::string_view json) {
  try {
    check(json);
    return "accepted";
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK_FALSE(e.hint().empty());
    const std::string message = e.what();
    REQUIRE(message.starts_with("index: "));
    return message.substr(7);
  }
}

}  // namespace

TEST_CASE("an index that fits its shards is accepted") {
  check(
      R"({"metadata":{"total_size":16,"note":[1,{"x":null}]},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}})");
  check(R"({"metadata":{"total_size":16.0},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  check(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"},"other":true})");
  const auto index = parse_shard_index(R"({"weight_map":{"b":"2","a":"1","c":"1"}})", "index");
  CHECK(index.files() == std::vector<std::string>{"1", "2"});
}

TEST_CASE("an index that breaks a rule is refused by byte, tensor and shard") {
  struct Refused {
    const char* json;
    const char* message;  ///< all of it after the file's name
  };
  for (const Refused& refused : {
           // each tensor in exactly its named shard, none unlisted, none missing, total_size equal
           Refused{R"({"weight_map":{"a":"1.safetensors"}})", "tensor 'b' of 2.safetensors is not listed"},
           {R"({"weight_map":{}})", "tensor 'a' of 1.safetensors is not listed"},
           {R"({"weight_map":{"a":"2.safetensors","b":"2.safetensors"}})",
            "tensor 'a' is in 1.safetensors, listed in 2.safetensors"},
           {R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}})",
            "tensor 'c' is missing from 2.safetensors"},
           {R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"3.safetensors"}})",
            "tensor 'c' is missing from 3.safetensors"},
           {R"({"metadata":{"total_size":17},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
            "total_size is 17, the shards hold 16 bytes"},
           {R"({"metadata":{"total_size":15.0},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
            "total_size is 15, the shards hold 16 bytes"},
           {R"({"metadata":{"total_size":1.5},"weight_map":{}})", "byte 26: total_size is not a whole number of bytes"},
           {R"({"metadata":{"total_size":-1},"weight_map":{}})", "byte 26: total_size is not a whole number of bytes"},
           {R"({"metadata":{"total_size":1e400},"weight_map":{}})",
            "byte 26: total_size is not a whole number of bytes"},
           {R"({"metadata":{"total_size":1e-400},"weight_map":{}})",
            "byte 26: total_size is not a whole number of bytes"},
           {R"({"metadata":{"total_size":18446744073709551616},"weight_map":{}})",
            "byte 26: total_size does not fit in 64 bits"},
           {R"({"metadata":{"total_size":"16"},"weight_map":{}})", "byte 26: a number of bytes is expected here"},
           {R"({"metadata":{"total_size":1,"total_size":1},"weight_map":{}})", "byte 28: total_size occurs twice"},
           {R"({"metadata":{},"metadata":{"total_size":1},"weight_map":{}})", "byte 15: metadata occurs twice"},
           // plain file names
           {R"({"weight_map":{"a":"../1.safetensors"}})",
            "byte 15 (tensor a): '../1.safetensors' is no plain file name"},
           {R"({"weight_map":{"a":"/1.safetensors"}})", "byte 15 (tensor a): '/1.safetensors' is no plain file name"},
           {R"({"weight_map":{"a":"x/1.safetensors"}})", "byte 15 (tensor a): 'x/1.safetensors' is no plain file name"},
           {R"({"weight_map":{"a":".."}})", "byte 15 (tensor a): '..' is no plain file name"},
           {R"({"weight_map":{"a":"."}})", "byte 15 (tensor a): '.' is no plain file name"},
           {R"({"weight_map":{"a":""}})", "byte 15 (tensor a): '' is no plain file name"},
           {R"({"weight_map":{"a":"1\u0000.safetensors"}})",
            R"(byte 15 (tensor a): '1\x00.safetensors' is no plain file name)"},
           {R"({"weight_map":{"a":1}})", "byte 19 (tensor a): a file name is expected here"},
           {R"({"weight_map":{"a":null}})", "byte 19 (tensor a): a file name is expected here"},
           // one object, each name once
           {R"({"weight_map":{"b":"2.safetensors","a":"1.safetensors","a":"2.safetensors"}})",
            "byte 55: tensor 'a' occurs twice"},
           {R"({"weight_map":{"a":"1.safetensors","\u0061":"1.safetensors"}})", "byte 35: tensor 'a' occurs twice"},
           {R"({"weight_map":{},"weight_map":{}})", "byte 17: weight_map occurs twice"},
           {R"({"metadata":{}})", "byte 0: weight_map is missing"},
           {R"({"weight_map":[]})", "byte 14: an object of file names is expected here"},
           {R"([])", "byte 0: '{' is expected here"},
           {"", "byte 0: the JSON ends where '{' is expected"},
           {R"({"weight_map":{"a":"1.safetensors")", "byte 34: the JSON ends where ',' or '}' is expected"},
           {R"({"weight_map":{}} x)", "byte 18: bytes after the JSON object"},
           {"{\"weight_map\":{\"\xff\":\"1\"}}", "byte 16: a string that is not UTF-8"},
           {R"({"weight_map":{},"x":tru})", "byte 21: a value is expected here"},
       }) {
    CAPTURE(refused.json);
    CHECK(refusal(refused.json) == refused.message);
  }
}

TEST_CASE("a tensor in two shards fits no index") {
  const Shards twice{{"1.safetensors", shard("a")}, {"2.safetensors", shard("a")}};
  const auto index = parse_shard_index(R"({"weight_map":{"a":"1.safetensors"}})", "index");
  CHECK_THROWS_WITH_AS(check_shard_index(index, twice, "index"),
                       "index: tensor 'a' is in 2.safetensors, listed in 1.safetensors", Error);
}

TEST_CASE("what an index does not need may nest, but not without end") {
  const std::string deep = std::string(200'000, '[');
  CHECK_THROWS_WITH_AS(parse_shard_index("{\"x\":" + deep, "index"), doctest::Contains("nested more than 64 deep"),
                       Error);
}
