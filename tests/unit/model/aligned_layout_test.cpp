#include "reef/model/internal/aligned_layout.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <utility>
#include <vector>

#include "reef/model/safetensors.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;

TEST_CASE("any header's tensors are aligned, in the order of the largest power of two that divides their bytes") {
  std::mt19937 random(3);
  const std::vector<std::pair<const char*, std::size_t>> types{
      {"U8", 1}, {"F16", 2}, {"F32", 4}, {"I64", 8}, {"C64", 8}};
  for (int round = 0; round < 200; ++round) {
    std::string json = "{";
    std::uint64_t at = 0;
    for (unsigned i = 0, count = random() % 8; i < count; ++i) {
      const auto& [type, size] = types[random() % types.size()];
      const std::uint64_t elements = random() % 40;
      json += fmt::format(R"({}"t{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", i == 0 ? "" : ",", i, type,
                          elements, at, at + elements * size);
      at += elements * size;
    }
    const std::string file = test::safetensors(json + "}", at);
    const auto parse = [](const std::string& bytes) {
      return parse_safetensors({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, bytes.size(), "f");
    };
    const SafetensorsHeader header = parse(file);
    const std::uint64_t alignment = std::uint64_t{8} << random() % 6;
    const internal::AlignedLayout layout = internal::align_layout(header, alignment, "f");
    CHECK(layout.head.size() % alignment == 0);
    const SafetensorsHeader made = parse(layout.head + std::string(at, 'x'));  // it covers the data, without holes
    for (std::size_t i = 0; i < header.tensors.size(); ++i) {
      const Tensor& before = header.tensors[i];
      const Tensor* after = made.find(before.name);
      REQUIRE(after != nullptr);
      CHECK(made.is_aligned(*after));
      CHECK(after->begin == layout.begins[i]);
      CHECK(after->bytes() == before.bytes());
      if (layout.moves_tensors && before.bytes() % alignment == 0) CHECK(after->begin % alignment == 0);
    }
    CHECK(internal::align_layout(made, alignment, "f").is_same());
  }
}
