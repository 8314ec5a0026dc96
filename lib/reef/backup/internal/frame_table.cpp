#include "reef/backup/internal/frame_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/backup/internal/byte_order.h"
#include "reef/backup/internal/frame.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

/// A frame of an archive, at its largest.
constexpr std::uint64_t kMostStored = kFrameBytes + (std::uint64_t{64} << 10);

std::string read_text(const ArchiveSource& source, std::uint64_t offset, std::uint64_t bytes) {
  std::string text(static_cast<std::size_t>(bytes), '\0');
  source.read(offset, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

class TableReader {
 public:
  explicit TableReader(const ArchiveSource& source) : source_(source), size_(source.size_bytes()) {}

  FrameTable read() {
    if (!from_seek_table()) from_frames();
    return std::move(table_);
  }

 private:
  void fault(std::uint64_t begin, std::uint64_t end, std::string what) {
    table_.faults.push_back({begin, end, fmt::format("{}, bytes {}-{}", what, begin, end), {}});
  }

  void add(const FrameInfo& info, bool has_xxh3) {
    FrameAt frame;
    frame.info = info;
    frame.has_xxh3 = has_xxh3;
    frame.offset = end_;
    frame.begin = table_.tar_bytes;
    end_ += info.stored;
    table_.tar_bytes += info.content;
    table_.frames.push_back(frame);
  }

  /// Takes an index over, whose frame lies behind those of the archive. False where it is damaged or of another one.
  bool take_index(std::uint64_t offset, std::uint64_t bytes) {
    ArchiveIndex index;
    try {
      index = parse_index(read_text(source_, offset, bytes), source_.name());
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      fault(offset, offset + bytes, error.what());
      return false;
    }
    std::uint64_t frames = 0;
    for (const FrameInfo& info : index.frames) frames += info.stored;
    if (frames != offset) {
      fault(offset, offset + bytes, "the index is of other frames");
      return false;
    }
    for (const FrameInfo& info : index.frames) add(info, true);
    index_frames_ = std::move(index.frames);
    table_.entries = std::move(index.entries);
    return true;
  }

  /// False where there is no seek table that fits the file.
  bool from_seek_table() {
    if (size_ < kSeekFooterBytes) return false;
    const auto bytes = seek_table_bytes(read_text(source_, size_ - kSeekFooterBytes, kSeekFooterBytes));
    if (!bytes || *bytes > size_) return false;
    const std::string text = read_text(source_, size_ - *bytes, *bytes);
    auto rows = parse_seek_table(text);
    if (!rows) return false;
    std::uint64_t sum = 0;
    for (const FrameInfo& row : *rows) {
      sum += row.stored;
      if (row.content > kFrameBytes) return false;
    }
    if (sum != size_ - *bytes || rows->back().content != 0) return false;
    const std::uint64_t index_bytes = rows->back().stored;
    if (take_index(sum - index_bytes, index_bytes)) {
      if (seek_table(index_frames_, index_bytes) != text) fault(sum, size_, "the seek table is not that of the index");
      return true;
    }
    rows->pop_back();
    for (const FrameInfo& row : *rows) add(row, false);
    return true;
  }

  /// Walks from frame to frame.
  void from_frames() {
    std::vector<FrameInfo> found;
    std::uint64_t at = 0;
    while (at < size_) {
      check_interrupt();
      const std::string bytes = read_text(source_, at, std::min(size_ - at, kMostStored));
      const std::span<const std::uint8_t> view{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
      const std::size_t length = frame_length(view);
      if (bytes.size() >= 8 && is_index_frame(bytes)) {
        const std::uint64_t announced = 8 + std::uint64_t{little_at<std::uint32_t>(bytes, 4)};
        if (announced <= size_ - at && take_index(at, announced)) {
          fault(at + announced, size_, "the seek table is damaged or missing");
          return;
        }
        break;
      }
      const auto content = frame_content(view);
      if (length == 0 || !content || *content == 0) break;
      FrameInfo& info = found.emplace_back();
      info.stored = static_cast<std::uint32_t>(length);
      info.content = static_cast<std::uint32_t>(*content);
      at += length;
    }
    if (found.empty()) {
      throw Error(Errc::corrupt, fmt::format("{} does not begin as an archive of reef's", source_.name()),
                  "is it encrypted, or another file?");
    }
    for (const FrameInfo& info : found) add(info, false);
    table_.is_cut_off = true;
    fault(at, size_, fmt::format("frame {} and all that follow are damaged or missing", found.size() + 1));
  }

  const ArchiveSource& source_;
  std::uint64_t size_;
  std::uint64_t end_ = 0;
  std::vector<FrameInfo> index_frames_;
  FrameTable table_;
};

}  // namespace

FrameTable read_frame_table(const ArchiveSource& source) { return TableReader(source).read(); }

std::size_t frame_of(const FrameTable& table, std::uint64_t offset) {
  const auto after = std::upper_bound(table.frames.begin(), table.frames.end(), offset,
                                      [](std::uint64_t at, const FrameAt& frame) { return at < frame.begin; });
  return static_cast<std::size_t>(after - table.frames.begin()) - 1;
}

}  // namespace reef::backup::internal
