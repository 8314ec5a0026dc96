#include "reef/vector/uniform_codes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "sample.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

UniformCodes codes_of(const std::vector<float>& values, std::size_t dim, unsigned threads = 1) {
  const TempDir dir;
  write_npy(dir / "vectors.npy", values, dim);
  return UniformCodes(NpyMatrix(dir / "vectors.npy"), threads);
}

std::vector<std::uint8_t> bytes_of(const UniformCodes& codes) { return {codes.bytes().begin(), codes.bytes().end()}; }

/// 100 x 1000 values, the first of them given, all others `usual`: which is then the 99.99th percentile while no more
/// than ten of the first exceed it, and so gives the step.
std::vector<float> among_usual(const std::vector<float>& first, float usual) {
  std::vector<float> values(100'000, usual);
  std::ranges::copy(first, values.begin());
  return values;
}

float step_from(float percentile) { return percentile * 1.05F / 127; }

}  // namespace

TEST_CASE("values are rounded to the nearest code and cut at both ends") {
  constexpr struct {
    float steps;
    int code;
  } kCases[] = {{0, 128},     {-0.0F, 128}, {.49F, 128},   {.51F, 129},   {-.49F, 128},  {-.51F, 127}, {1.4F, 129},
                {1.6F, 130},  {-1.6F, 126}, {126.4F, 254}, {126.6F, 255}, {127.6F, 255}, {1000, 255},  {1e30F, 255},
                {-127.4F, 1}, {-127.6F, 0}, {-128.4F, 0},  {-129, 0},     {-1e30F, 0}};
  const float step = step_from(.5F);
  std::vector<float> first;
  for (const auto& one : kCases) first.push_back(one.steps * step);
  const UniformCodes codes = codes_of(among_usual(first, .5F), 1000);
  REQUIRE(codes.step() == step);
  for (std::size_t i = 0; i < std::size(kCases); ++i) {
    CAPTURE(kCases[i].steps);
    CHECK(int{codes.row(0)[i]} == kCases[i].code);
  }
}

TEST_CASE("a value between two codes goes to the even one") {
  constexpr float kStep = 1.0F / 64;  // a power of two: halves of it are exact
  float percentile = kStep * 127 / 1.05F;
  while (step_from(percentile) < kStep) percentile = std::nextafter(percentile, 10.0F);
  while (step_from(percentile) > kStep) percentile = std::nextafter(percentile, 0.0F);
  REQUIRE(step_from(percentile) == kStep);
  std::vector<float> first;
  for (int i = 0; i < 90; ++i) first.push_back((static_cast<float>(i) - 45.5F) * kStep);
  const UniformCodes codes = codes_of(among_usual(first, percentile), 1000);
  REQUIRE(codes.step() == kStep);
  for (int i = 0; i < 90; ++i) {
    const int code = codes.row(0)[i];
    CAPTURE(i);
    CHECK(code % 2 == 0);
    CHECK(std::abs(static_cast<float>(code - 128) - (static_cast<float>(i) - 45.5F)) == .5F);
  }
}

TEST_CASE("no value that was not cut is further than half a step from its code") {
  for (const std::size_t dim : {1u, 7u, 64u, 384u}) {
    CAPTURE(dim);
    const std::size_t rows = 40'000 / dim;
    const auto values = unit_rows(rows, dim, 21);
    const UniformCodes codes = codes_of(values, dim);
    REQUIRE(codes.rows() == rows);
    REQUIRE(codes.dim() == dim);
    std::size_t cut = 0;
    float worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int code = int{codes.bytes()[i]} - 128;
      const float steps = values[i] / codes.step();
      if (steps > 127.5F || steps < -128.5F) {
        ++cut;
        REQUIRE(code == (steps > 0 ? 127 : -128));
      } else {
        worst = std::max(worst, std::abs(values[i] - static_cast<float>(code) * codes.step()));
      }
    }
    CHECK(worst <= codes.step() / 2 * 1.0001F);  // the last bits of a float
    CHECK(cut * 10'000 <= values.size());
  }
}

TEST_CASE("a sample gives the step of a large matrix") {
  std::vector<float> values(4'400'000);  // evenly spread over [-1, 1)
  std::uint32_t random = 24;
  for (float& x : values) x = static_cast<float>(random = random * 1'664'525 + 1'013'904'223) * 0x1p-31F - 1;
  CHECK(codes_of(values, 1000, 2).step() == doctest::Approx(step_from(1)).epsilon(.001));
}

TEST_CASE("few large values do not make the steps of all others coarse") {
  std::vector<float> values = unit_rows(1000, 64, 22);
  const float step = codes_of(values, 64).step();
  values[9700] = 1;
  values[5] = -30;
  const UniformCodes codes = codes_of(values, 64);
  CHECK(codes.step() <= 1.2F * step);
  CHECK(int{codes.bytes()[9700]} == 255);
  CHECK(int{codes.bytes()[5]} == 0);
}

TEST_CASE("any number of threads gives the same codes") {
  const auto values = unit_rows(3001, 24, 23);  // two whole shares of 1024 rows and a part
  const UniformCodes one = codes_of(values, 24);
  for (const unsigned threads : {2u, 3u, 8u}) {
    const UniformCodes other = codes_of(values, 24, threads);
    CHECK(other.step() == one.step());
    CHECK(bytes_of(other) == bytes_of(one));
  }
}

TEST_CASE("a matrix of zeros has codes, too") {
  const UniformCodes codes = codes_of(std::vector<float>(30, 0.0F), 10);
  CHECK(codes.step() == 1.0F / 127);
  CHECK(bytes_of(codes) == std::vector<std::uint8_t>(30, 128));
}

TEST_CASE("the signed form of a code is the code less 128") {
  for (std::size_t dim = 1; dim <= 40; ++dim) {
    std::vector<std::uint8_t> codes(dim);
    for (std::size_t j = 0; j < dim; ++j) codes[j] = static_cast<std::uint8_t>(j * 37 + dim * 11);
    std::vector<std::int8_t> out(dim);
    to_signed(codes.data(), dim, out.data());
    for (std::size_t j = 0; j < dim; ++j) REQUIRE(int{out[j]} == int{codes[j]} - 128);
  }
}
