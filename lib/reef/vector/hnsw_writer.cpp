#include <cmath>

#include "reef/io/file.h"
#include "reef/vector/hnsw_file.h"

namespace reef::vector {
namespace {

constexpr std::int32_t kEfConstruction = 200;
constexpr std::int32_t kEfSearch = 64;

/// FAISS's serialised form: fields one after the other, little-endian, without alignment.
class PackedWriter {
 public:
  explicit PackedWriter(io::StagedFile& file) : file_(file) {}

  template <typename T>
  void put(T value) {
    put_bytes(&value, sizeof value);
  }
  void put_bytes(const void* data, std::size_t count) {
    buffer_.append(static_cast<const char*>(data), count);
    if (buffer_.size() >= kFlush) flush();
  }
  void flush() {
    file_.write(buffer_);
    buffer_.clear();
  }
  void put_index_header(const char* kind, std::size_t dim, std::size_t rows) {
    put_bytes(kind, 4);
    put(static_cast<std::int32_t>(dim));
    put(static_cast<std::int64_t>(rows));
    put(std::int64_t{1 << 20});  // two fields that FAISS does not use
    put(std::int64_t{1 << 20});
    put(std::uint8_t{1});  // is_trained
    put(std::int32_t{0});  // METRIC_INNER_PRODUCT
  }

 private:
  static constexpr std::size_t kFlush = 4 << 20;
  io::StagedFile& file_;
  std::string buffer_;
};

/// Places for links that a row takes up to and with its top level.
std::uint64_t places_of(int top_level) {
  return HnswGraph::kBaseLinks + static_cast<std::uint64_t>(top_level) * HnswGraph::kUpperLinks;
}

void put_levels(PackedWriter& out) {
  // exp(-level ln M) (1 - exp(-ln M)), whose last bits would depend on the library.
  static_assert(HnswGraph::kM == 32);
  out.put(std::uint64_t{HnswGraph::kLevels});
  for (int level = 0; level < HnswGraph::kLevels; ++level) out.put(std::ldexp(31.0 / 32, -5 * level));
  out.put(std::uint64_t{HnswGraph::kLevels + 1});
  out.put(std::int32_t{0});
  for (int level = 0; level < HnswGraph::kLevels; ++level) out.put(static_cast<std::int32_t>(places_of(level)));
}

void put_links(PackedWriter& out, const HnswGraph& graph) {
  const std::size_t rows = graph.rows();
  out.put(std::uint64_t{rows});
  for (std::size_t row = 0; row < rows; ++row) out.put(std::int32_t{graph.top_level(row) + 1});
  out.put(std::uint64_t{rows + 1});
  std::uint64_t offset = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    out.put(offset);
    offset += places_of(graph.top_level(row));
  }
  out.put(offset);
  out.put(offset);  // the count of the array that follows
  for (std::size_t row = 0; row < rows; ++row) {
    for (int level = 0; level <= graph.top_level(row); ++level) {
      const auto ids = graph.links(row, level);
      out.put_bytes(ids.data(), ids.size_bytes());
      const std::size_t places = level == 0 ? HnswGraph::kBaseLinks : HnswGraph::kUpperLinks;
      for (std::size_t free = ids.size(); free < places; ++free) out.put(std::int32_t{-1});
    }
  }
}

void put_codes(PackedWriter& out, const UniformCodes& codes) {
  out.put_index_header("IxSQ", codes.dim(), codes.rows());
  out.put(std::int32_t{0});  // QT_8bit
  out.put(std::int32_t{0});  // RS_minmax
  out.put(0.0F);
  out.put(std::uint64_t{codes.dim()});
  out.put(std::uint64_t{codes.dim()});  // bytes a code
  // FAISS decodes minimum + (code + .5) / 255 * range; with these, that is (code - 128) * step.
  out.put(std::uint64_t{2 * codes.dim()});
  for (std::size_t j = 0; j < codes.dim(); ++j) out.put(-128.5F * codes.step());
  for (std::size_t j = 0; j < codes.dim(); ++j) out.put(255 * codes.step());
  out.put(std::uint64_t{codes.bytes().size()});
  out.flush();
}

}  // namespace

void write_hnsw_file(const std::filesystem::path& path, const UniformCodes& codes, const HnswGraph& graph) {
  io::StagedFile file(path);
  PackedWriter out(file);
  out.put_index_header("IHNs", codes.dim(), codes.rows());
  put_levels(out);
  put_links(out, graph);
  out.put(static_cast<std::int32_t>(graph.entry()));
  out.put(std::int32_t{graph.top_level(graph.entry())});
  out.put(kEfConstruction);
  out.put(kEfSearch);
  out.put(std::int32_t{1});  // upper_beam
  put_codes(out, codes);
  file.write({reinterpret_cast<const char*>(codes.bytes().data()), codes.bytes().size()});
  file.commit();
}

}  // namespace reef::vector
