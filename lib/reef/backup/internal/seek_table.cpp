// The seekable format of zstd's contrib/seekable_format: a skippable frame of (stored bytes, content bytes, checksum)
// of each frame, and a footer of count, descriptor and magic number.
#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/byte_order.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint32_t kTableMagic = 0x184D2A5E;
constexpr std::uint32_t kFooterMagic = 0x8F92EAB1;
constexpr std::uint8_t kWithChecksums = 0x80;
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kRowBytes = 12;
constexpr std::uint32_t kMostFrames = 0x8000000;  // as the format says

}  // namespace

std::string seek_table(const std::vector<FrameInfo>& frames, std::size_t index_bytes) {
  std::string table;
  append_little(table, kTableMagic);
  append_little(table, static_cast<std::uint32_t>((frames.size() + 1) * kRowBytes + kSeekFooterBytes));
  const auto append_row = [&](std::uint32_t stored, std::uint32_t content, std::uint32_t checksum) {
    append_little(table, stored);
    append_little(table, content);
    append_little(table, checksum);
  };
  for (const FrameInfo& frame : frames) append_row(frame.stored, frame.content, frame.checksum);
  append_row(static_cast<std::uint32_t>(index_bytes), 0, static_cast<std::uint32_t>(io::xxh64({})));
  append_little(table, static_cast<std::uint32_t>(frames.size() + 1));
  append_little(table, kWithChecksums);
  append_little(table, kFooterMagic);
  return table;
}

std::optional<std::size_t> seek_table_bytes(std::string_view footer) {
  const auto count = little_at<std::uint32_t>(footer, 0);
  if (little_at<std::uint8_t>(footer, 4) != kWithChecksums || little_at<std::uint32_t>(footer, 5) != kFooterMagic ||
      count == 0 || count > kMostFrames)
    return std::nullopt;
  return kHeaderBytes + std::size_t{count} * kRowBytes + kSeekFooterBytes;
}

std::optional<std::vector<FrameInfo>> parse_seek_table(std::string_view table) {
  if (table.size() < kHeaderBytes + kRowBytes + kSeekFooterBytes) return std::nullopt;
  const std::optional<std::size_t> bytes = seek_table_bytes(table.substr(table.size() - kSeekFooterBytes));
  if (bytes != table.size() || little_at<std::uint32_t>(table, 0) != kTableMagic ||
      little_at<std::uint32_t>(table, 4) != table.size() - kHeaderBytes)
    return std::nullopt;
  std::vector<FrameInfo> frames;
  for (std::size_t at = kHeaderBytes; at < table.size() - kSeekFooterBytes; at += kRowBytes) {
    FrameInfo& frame = frames.emplace_back();
    frame.stored = little_at<std::uint32_t>(table, at);
    frame.content = little_at<std::uint32_t>(table, at + 4);
    frame.checksum = little_at<std::uint32_t>(table, at + 8);
  }
  return frames;
}

}  // namespace reef::backup::internal
