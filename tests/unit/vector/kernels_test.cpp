#include "reef/vector/kernels.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "reef/core/error.h"
#include "reef/vector/internal/kernel_sets.h"

using namespace reef;
using namespace reef::vector;

namespace {

std::vector<std::size_t> dimensions() {
  std::vector<std::size_t> dims;
  for (std::size_t dim = 1; dim <= 130; ++dim) dims.push_back(dim);
  dims.insert(dims.end(), {384, 1000, 1024, 4096});
  return dims;
}

/// The order of additions that kernels.cpp promises, in plain C++.
float inner_product_by_hand(const std::vector<float>& a, const std::vector<float>& b) {
  float lanes[16] = {};
  for (std::size_t i = 0; i < (a.size() + 15) / 16 * 16; ++i) {
    const float product = i < a.size() ? a[i] * b[i] : 0.0f;
    lanes[i % 16] += product;
  }
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <typename Code>
std::int64_t dot_by_hand(const std::int8_t* a, const Code* b, std::size_t dim) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += a[i] * b[i];
  return sum;
}

void check_dot(const std::vector<std::int8_t>& query, const std::vector<std::int8_t> (&rows)[4]) {
  const std::int8_t* const pointers[4] = {rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data()};
  for (const Kernels& set : internal::supported_kernels()) {
    CAPTURE(set.name);
    std::int32_t out[4];
    set.dot_four(query.data(), pointers, query.size(), out);
    for (std::size_t r = 0; r < 4; ++r) REQUIRE(out[r] == dot_by_hand(query.data(), rows[r].data(), query.size()));
  }
}

void check_unsigned_dot(const std::vector<std::int8_t>& query, const std::vector<std::uint8_t> (&rows)[4]) {
  const std::uint8_t* const pointers[4] = {rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data()};
  for (const Kernels& set : internal::supported_kernels()) {
    CAPTURE(set.name);
    std::int32_t out[4];
    set.dot_four_unsigned(query.data(), pointers, query.size(), out);
    for (std::size_t r = 0; r < 4; ++r) REQUIRE(out[r] == dot_by_hand(query.data(), rows[r].data(), query.size()));
  }
}

}  // namespace

TEST_CASE("every set multiplies random codes exactly, in every dimension") {
  std::mt19937 generator(1);
  for (const std::size_t dim : dimensions()) {
    CAPTURE(dim);
    std::vector<std::int8_t> query(dim), rows[4];
    for (std::int8_t& c : query) c = static_cast<std::int8_t>(generator());
    for (auto& row : rows) {
      row.resize(dim);
      for (std::int8_t& c : row) c = static_cast<std::int8_t>(generator());
    }
    check_dot(query, rows);
  }
}

TEST_CASE("the largest sums do not overflow or saturate") {
  for (const std::size_t dim : {63u, 1024u, 4096u, 65'536u}) {
    CAPTURE(dim);
    for (const int sign : {-127, 127}) {
      const std::vector<std::int8_t> query(dim, static_cast<std::int8_t>(sign));
      const std::vector<std::int8_t> rows[4] = {std::vector<std::int8_t>(dim, 127), std::vector<std::int8_t>(dim, -127),
                                                std::vector<std::int8_t>(dim, 0), std::vector<std::int8_t>(dim, -128)};
      check_dot(query, rows);
    }
  }
}

TEST_CASE("every set multiplies unsigned codes exactly, in every dimension") {
  std::mt19937 generator(3);
  for (std::size_t dim = 1; dim <= 200; ++dim) {
    CAPTURE(dim);
    // Blocks of exactly dim bytes: the address sanitizer sees every byte read past one.
    std::vector<std::int8_t> query(dim);
    std::vector<std::uint8_t> rows[4];
    for (std::int8_t& c : query) c = static_cast<std::int8_t>(generator());
    for (auto& row : rows) {
      row.resize(dim);
      for (std::uint8_t& c : row) c = static_cast<std::uint8_t>(generator());
    }
    check_unsigned_dot(query, rows);
  }
}

TEST_CASE("the largest sums of unsigned codes do not overflow or saturate") {
  // 65,536 x 255 x 127 is 2,122,383,360, and with -128 -2,139,095,040: both fit int32.
  for (const std::size_t dim : {1u, 63u, 64u, 65u, 200u, 65'536u}) {
    CAPTURE(dim);
    for (const int sign : {-128, -127, 127}) {
      const std::vector<std::int8_t> query(dim, static_cast<std::int8_t>(sign));
      const std::vector<std::uint8_t> rows[4] = {
          std::vector<std::uint8_t>(dim, 255), std::vector<std::uint8_t>(dim, 128), std::vector<std::uint8_t>(dim, 127),
          std::vector<std::uint8_t>(dim, 0)};
      check_unsigned_dot(query, rows);
    }
  }
}

TEST_CASE("every set multiplies questions of 15 bits exactly, in every dimension") {
  std::mt19937 generator(4);
  for (const std::size_t dim : {1U, 2U, 15U, 16U, 17U, 63U, 64U, 65U, 100U, 384U, 500U}) {
    for (const bool extreme : {false, true}) {
      CAPTURE(dim);
      CAPTURE(extreme);
      std::vector<std::int16_t> value(dim);
      std::vector<std::int8_t> high(dim), low(dim);
      std::vector<std::uint8_t> rows[4];
      for (std::size_t j = 0; j < dim; ++j) {
        value[j] = static_cast<std::int16_t>(static_cast<int>(generator() % (2 * WideQuery::kLargest + 1)) -
                                             WideQuery::kLargest);
        if (extreme) value[j] = WideQuery::kLargest;
        high[j] = static_cast<std::int8_t>((value[j] + 64) >> 7);
        low[j] = static_cast<std::int8_t>(value[j] - 128 * high[j]);
      }
      for (auto& row : rows) {
        row.resize(dim);
        for (std::uint8_t& c : row) c = extreme ? 255 : static_cast<std::uint8_t>(generator());
      }
      const std::uint8_t* const pointers[4] = {rows[0].data(), rows[1].data(), rows[2].data(), rows[3].data()};
      for (const Kernels& set : internal::supported_kernels()) {
        CAPTURE(set.name);
        std::int32_t out[4];
        set.dot_four_wide({value.data(), high.data(), low.data()}, pointers, dim, out);
        for (std::size_t r = 0; r < 4; ++r) {
          std::int64_t sum = 0;
          for (std::size_t j = 0; j < dim; ++j) sum += value[j] * rows[r][j];
          REQUIRE(out[r] == sum);
        }
      }
    }
  }
}

TEST_CASE("every set adds floats in one order, to the last bit") {
  std::mt19937 generator(2);
  std::normal_distribution<float> normal;
  for (const std::size_t dim : dimensions()) {
    CAPTURE(dim);
    std::vector<float> a(dim), b(dim);
    for (float& x : a) x = normal(generator);
    for (float& x : b) x = std::ldexp(normal(generator), static_cast<int>(generator() % 40) - 20);
    for (const Kernels& set : internal::supported_kernels()) {
      CAPTURE(set.name);
      REQUIRE(std::bit_cast<std::uint32_t>(set.inner_product(a.data(), b.data(), dim)) ==
              std::bit_cast<std::uint32_t>(inner_product_by_hand(a, b)));
    }
  }
}

TEST_CASE("extreme floats give the same bits") {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const std::size_t dim : {1u, 15u, 16u, 17u, 100u}) {
    for (const float x : {kMax, -kMax, kTiny, -kTiny, 0.0f, -0.0f, kInfinity, 1e-20f}) {
      for (const float y : {1.0f, -1.0f, 0.5f, 1e-20f, -0.0f}) {
        const std::vector<float> a(dim, x), b(dim, y);
        const float wanted = inner_product_by_hand(a, b);
        for (const Kernels& set : internal::supported_kernels()) {
          const float found = set.inner_product(a.data(), b.data(), dim);
          CAPTURE(set.name);
          CAPTURE(dim);
          CAPTURE(x);
          CAPTURE(y);
          REQUIRE(std::isnan(found) == std::isnan(wanted));
          if (!std::isnan(wanted)) {
            REQUIRE(std::bit_cast<std::uint32_t>(found) == std::bit_cast<std::uint32_t>(wanted));
          }
        }
      }
    }
  }
}

TEST_CASE("nothing is read past the end of a row") {
  // A heap block of exactly dim bytes: the address sanitizer of the asan preset sees every byte more.
  for (std::size_t dim = 1; dim <= 70; ++dim) {
    const std::vector<std::int8_t> query(dim, 1);
    const std::vector<std::int8_t> rows[4] = {std::vector<std::int8_t>(dim, 1), std::vector<std::int8_t>(dim, 2),
                                              std::vector<std::int8_t>(dim, 3), std::vector<std::int8_t>(dim, 4)};
    check_dot(query, rows);
  }
}

TEST_CASE("REEF_ISA chooses a lower set") {
  CHECK(std::string(internal::choose_kernels("baseline").name) == "baseline");
  CHECK(std::string(internal::choose_kernels(nullptr).name) == internal::supported_kernels().front().name);
  CHECK(std::string(internal::choose_kernels("").name) == internal::supported_kernels().front().name);
  CHECK(std::string(internal::choose_kernels("avx2").name) != "avx512-vnni");
  CHECK_THROWS_WITH_AS(internal::choose_kernels("sse9"),
                       "REEF_ISA is 'sse9', no instruction set that reef can be held to", Error);
}
