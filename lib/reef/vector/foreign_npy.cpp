#include "reef/vector/foreign_npy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/npy.h"

namespace reef::vector {
namespace {

/// IEEE 754 binary16, by bits: no instruction set of its own is needed for a file that is read once.
double half_to_double(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
  return exponent == 0 ? sign * std::ldexp(fraction, -24) : sign * std::ldexp(1024 + fraction, exponent - 25);
}

template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double element(const std::uint8_t* from, std::size_t bytes) {
  if (bytes == 2) return half_to_double(load<std::uint16_t>(from));
  return bytes == 4 ? load<float>(from) : load<double>(from);
}

std::size_t element_bytes(const std::string& descr, const std::string& name) {
  if (descr == "<f2") return 2;
  if (descr == "<f4") return 4;
  if (descr == "<f8") return 8;
  throw Error(Errc::corrupt, fmt::format("{} holds elements of type {}", name, descr), "save the array as float32");
}

}  // namespace

ForeignNpy::ForeignNpy(std::filesystem::path path)
    : path_(std::move(path)), fd_(io::open_regular(path_, "name a .npy file")) {
  const std::string name = io::shown(path_);
  const std::uint64_t size = io::file_size(fd_.get(), path_);
  std::vector<std::uint8_t> beginning(std::min<std::uint64_t>(size, internal::kMaxNpyHeader));
  io::pread_exact(fd_.get(), beginning.data(), beginning.size(), 0, path_);
  const NpyHeader header = parse_npy_header(beginning, name);
  element_bytes_ = element_bytes(header.descr, name);
  const bool one = header.shape.size() == 1;
  if (header.fortran_order || (!one && header.shape.size() != 2))
    throw Error(Errc::corrupt, fmt::format("{} is no matrix in C order", name),
                "save it with numpy.save(file, numpy.ascontiguousarray(vectors))");
  rows_ = one ? 1 : header.shape[0];
  const std::uint64_t dim = one ? header.shape[0] : header.shape[1];
  constexpr std::uint64_t kMostDimensions = 65536;
  if (dim == 0 || dim > kMostDimensions || rows_ > (size - header.data_offset) / (element_bytes_ * dim))
    throw Error(Errc::corrupt, fmt::format("{}: shape ({}, {}) does not fit the file", name, rows_, dim),
                "save the array again");
  dim_ = static_cast<std::size_t>(dim);
  data_offset_ = header.data_offset;
}

void ForeignNpy::read(std::uint64_t first, std::uint64_t count, std::span<float> out) {
  const std::size_t row_bytes = dim_ * element_bytes_;
  block_.resize(count * row_bytes);
  io::pread_exact(fd_.get(), block_.data(), block_.size(), data_offset_ + first * row_bytes, path_);
  for (std::uint64_t row = 0; row < count; ++row) {
    const std::uint8_t* const from = block_.data() + row * row_bytes;
    double squares = 0;
    for (std::size_t j = 0; j < dim_; ++j) {
      const double x = element(from + j * element_bytes_, element_bytes_);
      squares += x * x;
    }
    if (!std::isfinite(squares) || squares <= 0)
      throw Error(
          Errc::corrupt,
          fmt::format("{}: row {} is {}", io::shown(path_), first + row, squares == 0 ? "all zero" : "not finite"),
          "a vector needs a direction; rows count from 0");
    constexpr double kRounding = 1e-6;
    const double scale = std::abs(squares - 1) <= kRounding ? 1 : 1 / std::sqrt(squares);
    const auto into = out.subspan(row * dim_, dim_);
    for (std::size_t j = 0; j < dim_; ++j)
      into[j] = static_cast<float>(element(from + j * element_bytes_, element_bytes_) * scale);
    if (std::abs(std::sqrt(squares) - 1) >= internal::kUnitTolerance) ++stretched_;
  }
}

}  // namespace reef::vector
