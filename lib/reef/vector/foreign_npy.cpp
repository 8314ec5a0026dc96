#include "reef/vector/foreign_npy.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/mapped_file.h"
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

NpyRows read_npy_rows(const std::filesystem::path& path) {
  const io::MappedFile file(path);
  const std::string name = io::shown(path);
  const NpyHeader header = parse_npy_header(file.bytes(), name);
  const std::size_t bytes = element_bytes(header.descr, name);
  NpyRows result;
  const bool one = header.shape.size() == 1;
  if (header.fortran_order || (!one && header.shape.size() != 2))
    throw Error(Errc::corrupt, fmt::format("{} is no matrix in C order", name),
                "save it with numpy.save(file, numpy.ascontiguousarray(vectors))");
  result.rows = one ? 1 : header.shape[0];
  const std::uint64_t dim = one ? header.shape[0] : header.shape[1];
  constexpr std::uint64_t kMostDimensions = 65536;
  if (dim == 0 || dim > kMostDimensions || result.rows > (file.size() - header.data_offset) / (bytes * dim))
    throw Error(Errc::corrupt, fmt::format("{}: shape ({}, {}) does not fit the file", name, result.rows, dim),
                "save the array again");
  result.dim = static_cast<std::size_t>(dim);
  result.unit_rows.resize(result.rows * result.dim);
  for (std::uint64_t row = 0; row < result.rows; ++row) {
    const std::uint8_t* from = file.data() + header.data_offset + row * dim * bytes;
    double squares = 0;
    for (std::size_t j = 0; j < result.dim; ++j) squares += std::pow(element(from + j * bytes, bytes), 2);
    if (!std::isfinite(squares) || squares <= 0)
      throw Error(Errc::corrupt, fmt::format("{}: row {} is {}", name, row, squares == 0 ? "all zero" : "not finite"),
                  "a vector needs a direction");
    const double scale = 1 / std::sqrt(squares);
    for (std::size_t j = 0; j < result.dim; ++j)
      result.unit_rows[row * result.dim + j] = static_cast<float>(element(from + j * bytes, bytes) * scale);
  }
  return result;
}

}  // namespace reef::vector
