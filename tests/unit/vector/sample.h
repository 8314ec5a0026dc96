#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::test {

inline void normalise(std::span<float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  for (float& x : row) x = static_cast<float>(static_cast<double>(x) / std::sqrt(sum));
}

/// rows x dim unit vectors around 50 centres, the way texts gather around subjects.
inline std::vector<float> unit_rows(std::size_t rows, std::size_t dim, unsigned seed) {
  std::mt19937 generator(seed);
  std::mt19937 centre_generator(7);  // the same subjects whatever the seed
  std::normal_distribution<float> normal;
  std::vector<float> centres(50 * dim);
  for (float& x : centres) x = normal(centre_generator);
  std::vector<float> values(rows * dim);
  for (std::size_t i = 0; i < rows; ++i) {
    const float* const centre = centres.data() + generator() % 50 * dim;
    const std::span<float> row(values.data() + i * dim, dim);
    for (std::size_t j = 0; j < dim; ++j) row[j] = centre[j] + 0.7f * normal(generator);
    normalise(row);
  }
  return values;
}

/// unit_rows() in which the first four values of every row are about fifty times the others, as language models have
/// them: what tells rows apart lies in the rest.
inline std::vector<float> rows_with_outliers(std::size_t rows, std::size_t dim, unsigned seed) {
  std::vector<float> values = unit_rows(rows, dim, seed);
  for (std::size_t i = 0; i < rows; ++i) {
    const std::span<float> row(values.data() + i * dim, dim);
    for (std::size_t j = 0; j < 4; ++j)
      row[j] = (j % 2 == 0 ? 50.F : -50.F) / std::sqrt(static_cast<float>(dim)) + row[j];
    normalise(row);
  }
  return values;
}

inline std::span<const float> row_of(const std::vector<float>& values, std::size_t dim, std::size_t i) {
  return std::span<const float>(values).subspan(i * dim, dim);
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) { io::replace_file(path, bytes); }

/// Overwrites bytes in place, as a fault of the medium would.
inline void patch_file(const std::filesystem::path& path, std::size_t offset, std::string_view bytes) {
  std::string content = io::read_file(path);
  content.replace(offset, bytes.size(), bytes);
  std::filesystem::resize_file(path, 0);
  const io::UniqueFd fd = io::open_file(path, 1 /* O_WRONLY */);
  io::write_all(fd.get(), content, path);
}

/// The Error that `action` throws; fails the test when it throws none.
template <class Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  return Error(Errc::failed, "no error was thrown");
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace reef::test
