#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/mapped_file.h"
#include "reef/io/unique_handle.h"

namespace reef::vector {

/// What the header of a .npy file says (NEP 1, versions 1 to 3).
struct NpyHeader {
  std::string descr;  ///< "<f4", or the literal of a structured type without blanks
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::size_t data_offset = 0;
};

/// Parses and checks magic, version, length and the dictionary literal; every count is bounded
/// before use. `name` stands in the message of Error{corrupt}.
NpyHeader parse_npy_header(std::span<const std::uint8_t> bytes, const std::string& name);

/// A C-order float32 matrix of a mapped .npy file: n x dim, unit rows where reef wrote it.
class NpyMatrix {
 public:
  NpyMatrix() = default;
  /// Throws Error{corrupt} unless the file is a C-order "<f4" matrix whose shape fits its size.
  /// "<f2" and other shapes are for readers of foreign files, not for stores.
  explicit NpyMatrix(const std::filesystem::path& path);
  /// The first `committed_rows` rows of a store's file. The header's own count is for foreign
  /// programs and not read: an append running at the same time may be rewriting it. Throws
  /// Error{corrupt} when the file has fewer rows.
  NpyMatrix(const std::filesystem::path& path, std::uint64_t committed_rows);

  std::uint64_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  /// Throws Error{corrupt} for a row that there is not: numbers of rows come from another file.
  std::span<const float> row(std::uint64_t i) const;
  /// A copy of a row (dim() values), by a read that maps nothing of the file.
  void read_row(std::uint64_t i, std::span<float> out) const;
  const io::MappedFile& file() const { return file_; }

 private:
  NpyMatrix(const std::filesystem::path& path, std::optional<std::uint64_t> committed_rows);
  [[noreturn]] void throw_no_row(std::uint64_t i) const;

  io::MappedFile file_;
  std::uint64_t rows_ = 0;
  std::size_t dim_ = 0;
  const float* data_ = nullptr;
};

/// Writes a new .npy file of float32 rows in one go (`reef-index embed -o`), atomically.
void write_npy(const std::filesystem::path& path, std::span<const float> values, std::size_t dim);

/// Rows of fixed size behind a padded .npy header that can be rewritten in place, so that rows
/// are appended without moving any: rows first, fsync, one pwrite of the header, fsync.
///
/// The count stands right-aligned in a field of 19 digits, enough for 2^63 rows. An append changes
/// digits of it and no other byte, so a header caught between two states is still a header. Data
/// begins at a multiple of 64 bytes.
class NpyAppender {
 public:
  /// `descr` and `row_bytes` describe one row; `columns` is the second dimension, 0 for structured
  /// rows. Creates the file when absent; otherwise checks that it holds such rows.
  ///
  /// `committed_rows` is what a commit point elsewhere counts; it overrules the header. Rows past
  /// it are cut and a header that says otherwise is written anew; with 0 the file is begun again,
  /// whatever it held. Throws Error{corrupt} when the file holds fewer rows or other rows.
  NpyAppender(std::filesystem::path path, std::string descr, std::size_t row_bytes, std::size_t columns,
              std::optional<std::uint64_t> committed_rows = std::nullopt);

  std::uint64_t rows() const { return rows_; }
  /// Cuts what a killed run appended but never committed.
  void truncate(std::uint64_t rows);
  /// Whole rows; on failure rows() stays what it was.
  void append(std::span<const std::uint8_t> bytes);
  /// Makes rows durable, then the header that counts them.
  void sync();

 private:
  void begin_file();
  void adopt_file(std::optional<std::uint64_t> committed_rows);
  void write_header();
  std::uint64_t end_of(std::uint64_t rows) const { return data_offset_ + rows * row_bytes_; }

  std::filesystem::path path_;
  io::UniqueFd fd_;
  std::string descr_;
  std::size_t row_bytes_;
  std::size_t columns_;
  std::size_t data_offset_ = 0;
  std::uint64_t rows_ = 0;
  bool created_ = false;   ///< its name is not durable yet
  bool unsynced_ = false;  ///< rows or header changed since the last sync()
};

}  // namespace reef::vector
