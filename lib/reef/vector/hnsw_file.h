#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reef/io/mapped_file.h"
#include "reef/vector/hnsw_graph.h"
#include "reef/vector/uniform_codes.h"

namespace reef::vector {

/// Writes the graph and its codes as a plain FAISS file: `IHNs` over `IxSQ` with QT_8bit and METRIC_INNER_PRODUCT
/// (cosine, for unit rows), as FAISS 1.7 and later read it. Appears whole or not at all.
void write_hnsw_file(const std::filesystem::path& path, const UniformCodes& codes, const HnswGraph& graph);

/// Such a file, searched where it lies: nothing is copied. What the header counts is checked on opening, every link and
/// offset at each use, since reading them all would cost more than a search. Throws Error{corrupt} for either.
///
/// FAISS's header has 37 bytes, so that nothing in the file is aligned: all loads go through memcpy.
class HnswFile {
 public:
  HnswFile() = default;
  explicit HnswFile(const std::filesystem::path& path);
  /// Of a file that was opened earlier, of which nothing was read yet.
  explicit HnswFile(io::MappedFile file);

  std::size_t rows() const { return rows_; }
  std::size_t dim() const { return dim_; }
  std::uint32_t entry() const { return entry_; }
  int top_level() const { return top_level_; }
  std::size_t ef_search() const { return ef_search_; }

  /// Links of a row on a level into `out` (kMostLinks of them); returns how many.
  static constexpr std::size_t kMostLinks = 512;
  std::size_t links(std::uint32_t row, int level, std::uint32_t* out) const;
  /// Where links of level 0 lie, to fetch them ahead of use; null for a place outside the file.
  const std::uint8_t* base_links(std::uint32_t row) const;
  const std::uint8_t* code(std::uint32_t row) const { return codes_ + std::size_t{row} * dim_; }
  /// The same, copied to `out` (dim() bytes) by a read, which maps nothing of the file.
  void read_code(std::uint32_t row, std::uint8_t* out) const;
  /// FAISS decodes value j of a code c as minimum[j] + (c + .5) / 255 * range[j].
  std::span<const float> minimum() const { return {trained_.data(), dim_}; }
  std::span<const float> range() const { return {trained_.data() + dim_, dim_}; }
  const io::MappedFile& file() const { return file_; }

 private:
  class Cursor;
  template <typename T>
  struct Packed {
    const std::uint8_t* data = nullptr;
    std::size_t count = 0;
    T operator[](std::size_t i) const {
      T value;
      std::memcpy(&value, data + i * sizeof(T), sizeof value);
      return value;
    }
  };
  void read_graph(Cursor& cursor);
  void read_codes(Cursor& cursor);
  [[noreturn]] void damaged(const std::string& what) const;

  io::MappedFile file_;
  std::size_t rows_ = 0;
  std::size_t dim_ = 0;
  std::uint32_t entry_ = 0;
  int top_level_ = 0;
  std::size_t ef_search_ = 0;
  std::vector<std::size_t> level_begin_;  ///< first link of each level within a row's links, and the end
  Packed<std::int32_t> levels_, neighbours_;
  Packed<std::uint64_t> offsets_;
  std::vector<float> trained_;
  const std::uint8_t* codes_ = nullptr;
};

}  // namespace reef::vector
