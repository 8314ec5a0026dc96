#include "reef/vector/codes.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "reef/vector/npy.h"
#include "sample.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

TEST_CASE("codes lie within half a step of the floats") {
  constexpr std::size_t kDim = 100;
  const auto rows = unit_rows(50, kDim, 3);
  for (std::size_t i = 0; i < 50; ++i) {
    std::vector<std::int8_t> codes(kDim);
    const auto row = row_of(rows, kDim, i);
    const float scale = encode_row(row, codes.data());
    int largest = 0;
    for (std::size_t j = 0; j < kDim; ++j) {
      CHECK(std::abs(scale * static_cast<float>(codes[j]) - row[j]) <= scale * 0.5001f);
      largest = std::max(largest, std::abs(codes[j]));
    }
    CHECK(largest == 127);
  }
}

TEST_CASE("ties go to even, and rows without a scale are zero") {
  std::vector<std::int8_t> codes(4);
  CHECK(encode_row(std::vector<float>{127.0f, 0.5f, 1.5f, -2.5f}, codes.data()) == 1.0f);
  CHECK(codes == std::vector<std::int8_t>{127, 0, 2, -2});
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (const std::vector<float>& row :
       {std::vector<float>{0, 0, -0.0f, 0}, {1, nan, 1, 1}, {1, 1, 1, -infinity}, {tiny, -tiny, 0, tiny}}) {
    codes.assign(4, 9);
    CHECK(encode_row(row, codes.data()) == 0.0f);
    CHECK(codes == std::vector<std::int8_t>{0, 0, 0, 0});
  }
  CHECK(encode_row(std::vector<float>{180 * tiny, -180 * tiny, 0, 0}, codes.data()) > 0);
  CHECK(codes[0] == 127);
  CHECK(codes[1] == -127);
}

TEST_CASE("code rows are read from their file, whatever its header counts") {
  constexpr std::size_t kDim = 7;
  const TempDir dir;
  const auto rows = unit_rows(5, kDim, 4);
  std::vector<std::uint8_t> encoded;
  encode_rows(rows, kDim, encoded);
  REQUIRE(encoded.size() == 5 * code_row_bytes(kDim));
  NpyAppender appender(dir / "codes.npy", codes_descr(kDim), code_row_bytes(kDim), 0);
  appender.append(encoded);
  appender.sync();
  const CodeMatrix codes(dir / "codes.npy", kDim);
  REQUIRE(codes.rows() == 5);
  std::vector<std::int8_t> expected(kDim);
  for (std::uint64_t i = 0; i < 5; ++i) {
    CHECK(codes.scale(i) == encode_row(row_of(rows, kDim, i), expected.data()));
    CHECK(std::equal(expected.begin(), expected.end(), codes.code(i)));
  }
  const Error error = error_of([&] { CodeMatrix(dir / "codes.npy", 8); });
  CHECK(error.code() == Errc::corrupt);
  CHECK(contains(error.what(), "codes.npy"));
}
