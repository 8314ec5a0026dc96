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

}  // namespace

TEST_CASE("an index that fits its shards is accepted") {
  check(
      R"({"metadata":{"total_size":16,"note":[1,{"x":null}]},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}})");
  check(R"({"metadata":{"total_size":16.0},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  check(R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"},"other":true})");
  const auto index = parse_shard_index(R"({"weight_map":{"b":"2","a":"1","c":"1"}})", "index");
  CHECK(index.files() == std::vector<std::string>{"1", "2"});
}

TEST_CASE("an index that does not fit is refused by name") {
  struct Refused {
    const char* json;
    const char* message;
  };
  for (const Refused& refused : {
           Refused{R"({"weight_map":{"a":"1.safetensors"}})", "tensor 'b' of 2.safetensors is not listed"},
           {R"({"weight_map":{"a":"2.safetensors","b":"2.safetensors"}})",
            "tensor 'a' is in 1.safetensors, listed in 2.safetensors"},
           {R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}})",
            "tensor 'c' is missing from 2.safetensors"},
           {R"({"metadata":{"total_size":17},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})",
            "total_size is 17, the shards hold 16"},
           {R"({"metadata":{"total_size":1.5},"weight_map":{}})", "not a whole number"},
           {R"({"metadata":{"total_size":-1},"weight_map":{}})", "not a whole number"},
           {R"({"metadata":{"total_size":1,"total_size":1},"weight_map":{}})", "total_size occurs twice"},
           {R"({"weight_map":{"a":"../1.safetensors"}})", "no plain file name"},
           {R"({"weight_map":{"a":"/1.safetensors"}})", "no plain file name"},
           {R"({"weight_map":{"a":".."}})", "no plain file name"},
           {R"({"weight_map":{"a":""}})", "no plain file name"},
           {R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})", "tensor 'a' occurs twice"},
           {R"({"weight_map":{},"weight_map":{}})", "weight_map occurs twice"},
           {R"({"metadata":{}})", "weight_map is missing"},
           {R"({"weight_map":{}} x)", "bytes after the JSON object"},
       }) {
    CAPTURE(refused.json);
    CHECK_THROWS_WITH_AS(check(refused.json), doctest::Contains(refused.message), Error);
  }
}

TEST_CASE("what an index does not need may nest, but not without end") {
  const std::string deep = std::string(200'000, '[');
  CHECK_THROWS_WITH_AS(parse_shard_index("{\"x\":" + deep, "index"), doctest::Contains("nested more than 64 deep"),
                       Error);
}
