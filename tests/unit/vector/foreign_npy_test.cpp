#include "reef/vector/foreign_npy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "reef/core/error.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/store.h"
#include "support/temp_dir.h"

using namespace reef;
using vector::ForeignNpy;

namespace {

template <typename T>
std::filesystem::path write(const test::TempDir& dir, const std::string& descr, std::size_t dim,
                            const std::vector<T>& values) {
  const auto path = dir / "v.npy";
  std::ofstream file(path, std::ios::binary);
  file << vector::internal::npy_header_text(descr, values.size() / dim, dim);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  return path;
}

std::string error_of(const std::filesystem::path& path) {
  try {
    ForeignNpy file(path);
    std::vector<float> out(file.rows() * file.dim());
    file.read(0, file.rows(), out);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("rows of another length are brought to 1 and counted, unit rows stay as they are") {
  const test::TempDir dir;
  const float third = 1 / std::sqrt(3.f);
  ForeignNpy file(write<float>(dir, "<f4", 3, {third, third, third, 0, 3, 4, 1e-30f, 0, 0, 3e38f, 3e38f, 3e38f}));
  REQUIRE(file.rows() == 4);
  REQUIRE(file.dim() == 3);
  std::vector<float> out(12);
  file.read(0, 2, out);
  CHECK(out[0] == third);
  CHECK(out[4] == .6f);
  CHECK(out[5] == .8f);
  CHECK(file.stretched() == 1);
  file.read(2, 2, std::span(out).subspan(6));
  CHECK(file.stretched() == 3);
  for (std::size_t row = 0; row < 4; ++row) CHECK(vector::is_unit(std::span(out).subspan(3 * row, 3)));
}

TEST_CASE("float16 is read bit by bit, subnormal numbers too") {
  const test::TempDir dir;
  // 1, -2; 2^-24 (the least), 0; 65504 (the largest), 0
  ForeignNpy file(write<std::uint16_t>(dir, "<f2", 2, {0x3c00, 0xc000, 0x0001, 0, 0x7bff, 0}));
  std::vector<float> out(6);
  file.read(0, 3, out);
  CHECK(out[0] == doctest::Approx(1 / std::sqrt(5.)));
  CHECK(out[1] == doctest::Approx(-2 / std::sqrt(5.)));
  CHECK(out[2] == 1);
  CHECK(out[4] == 1);
}

TEST_CASE("a row without a direction is refused with file and row") {
  const test::TempDir dir;
  CHECK(error_of(write<float>(dir, "<f4", 2, {1, 0, 0, 0})).find("v.npy: row 1 is all zero") != std::string::npos);
  CHECK(error_of(write<float>(dir, "<f4", 2, {1, 0, 1, 0, NAN, 1})).find("v.npy: row 2 is not finite") !=
        std::string::npos);
  CHECK(error_of(write<std::uint16_t>(dir, "<f2", 2, {0x7c00, 0})).find("row 0 is not finite") != std::string::npos);
}

TEST_CASE("files that are no such matrix are refused") {
  const test::TempDir dir;
  CHECK(error_of(write<std::uint32_t>(dir, "<i4", 2, {1, 2})).find("type <i4") != std::string::npos);
  CHECK(error_of(write<std::uint32_t>(dir, ">f4", 2, {1, 2})).find("type >f4") != std::string::npos);
  const auto path = write<float>(dir, "<f4", 4, {1, 0, 0, 0, 0, 1, 0, 0});
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  CHECK(error_of(path).find("shape (2, 4) does not fit") != std::string::npos);
  std::ofstream(path) << "no array";
  CHECK(error_of(path).find("v.npy") != std::string::npos);
  CHECK(!error_of(dir.path()).empty());
}
