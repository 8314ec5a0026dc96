#include "reef/backup/internal/archive_index.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_map>

#include "reef/backup/internal/byte_order.h"
#include "reef/backup/internal/frame.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint32_t kIndexMagic = 0x184D2A5D;
constexpr std::string_view kIndexName = "RFAX";
constexpr std::size_t kSkippableHeader = 8;
/// Compressed by more than this is no index, but a trap for memory.
constexpr std::uint64_t kMostRatio = 2048;
constexpr std::size_t kLeastEntryBytes = 1 + 3 * 4 + 4 * 8 + 3 * 4;
constexpr std::size_t kFrameInfoBytes = 3 * 4 + 8;

enum class Kind : std::uint8_t { file, folder, link, sparse, hard_link };

Kind kind_of(const TarEntry& tar) {
  if (tar.entry.type == EntryType::folder) return Kind::folder;
  if (tar.entry.type == EntryType::link) return Kind::link;
  if (!tar.entry.same_file_as.empty()) return Kind::hard_link;
  return tar.extents.empty() ? Kind::file : Kind::sparse;
}

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

IndexedEntry take_entry(FieldReader& in) {
  IndexedEntry found;
  Entry& entry = found.tar.entry;
  const auto number = in.take<std::uint8_t>();
  const auto kind = static_cast<Kind>(number);
  entry.type = kind == Kind::folder ? EntryType::folder : kind == Kind::link ? EntryType::link : EntryType::file;
  entry.mode = in.take<std::uint32_t>();
  entry.uid = in.take<std::uint32_t>();
  entry.gid = in.take<std::uint32_t>();
  entry.modified_ns = in.take<std::int64_t>();
  entry.size_bytes = in.take<std::uint64_t>();
  found.tar.header = in.take<std::uint64_t>();
  found.tar.data = in.take<std::uint64_t>();
  entry.path = in.take_text();
  (kind == Kind::link ? entry.link_target : entry.same_file_as) = in.take_text();
  if (kind == Kind::sparse) {
    const auto count = in.take<std::uint32_t>();
    for (std::uint32_t i = 0; i < count && !in.has_failed(); ++i) {
      const auto offset = in.take<std::uint64_t>();
      found.tar.extents.push_back({offset, in.take<std::uint64_t>()});
    }
  }
  const auto counts = in.take<std::uint32_t>();
  for (std::uint32_t i = 0; i < counts && !in.has_failed(); ++i) {
    std::string name = in.take_text();
    found.counts.emplace_back(std::move(name), in.take<std::uint64_t>());
  }
  return found;
}

/// Whether its content lies within the archive and its extents within the file.
bool is_sound(const TarEntry& tar, std::uint64_t archive_bytes) {
  const Entry& entry = tar.entry;
  const bool has_content = entry.type == EntryType::file && entry.same_file_as.empty();
  if (!has_content) return entry.size_bytes == 0;
  std::uint64_t end = 0;
  for (const Extent& extent : tar.extents) {
    if (extent.offset < end || extent.offset > entry.size_bytes || extent.length > entry.size_bytes - extent.offset)
      return false;
    end = extent.offset + extent.length;
  }
  return tar.data <= archive_bytes && tar.header < tar.data && tar.stored() <= archive_bytes - tar.data;
}

[[noreturn]] void refuse(const std::string& name, std::string_view what) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", name, what));
}

}  // namespace

void IndexBuilder::add(const TarEntry& tar, const Counts& counts) {
  const Entry& entry = tar.entry;
  append_little(bytes_, static_cast<std::uint8_t>(kind_of(tar)));
  append_little(bytes_, entry.mode & 07777U);
  append_little(bytes_, entry.uid);
  append_little(bytes_, entry.gid);
  append_little(bytes_, entry.modified_ns);
  append_little(bytes_, entry.size_bytes);
  append_little(bytes_, tar.header);
  append_little(bytes_, tar.data);
  append_text(bytes_, entry.path);
  append_text(bytes_, entry.type == EntryType::link ? entry.link_target : entry.same_file_as);
  if (!tar.extents.empty()) {
    append_little(bytes_, static_cast<std::uint32_t>(tar.extents.size()));
    for (const Extent& extent : tar.extents) {
      append_little(bytes_, extent.offset);
      append_little(bytes_, extent.length);
    }
  }
  append_little(bytes_, static_cast<std::uint32_t>(counts.size()));
  for (const auto& [name, value] : counts) {
    append_text(bytes_, name);
    append_little(bytes_, value);
  }
  ++entries_;
}

std::string IndexBuilder::finish(const std::vector<FrameInfo>& frames) const {
  std::string raw;
  raw.reserve(bytes_.size() + frames.size() * kFrameInfoBytes + 16);
  append_little(raw, std::uint64_t{frames.size()});
  for (const FrameInfo& frame : frames) {
    append_little(raw, frame.stored);
    append_little(raw, frame.content);
    append_little(raw, frame.checksum);
    append_little(raw, frame.xxh3);
  }
  append_little(raw, entries_);
  raw += bytes_;
  const std::string packed = compress_text(raw);
  if (packed.size() > UINT32_MAX - kIndexHeaderBytes)
    throw Error(Errc::failed, "the index of an archive gets larger than 4 GiB");
  std::string frame;
  append_little(frame, kIndexMagic);
  append_little(frame, static_cast<std::uint32_t>(packed.size() + kIndexHeaderBytes - kSkippableHeader));
  frame += kIndexName;
  append_little(frame, kIndexVersion);
  append_little(frame, std::uint64_t{raw.size()});
  append_little(frame, io::xxh3(as_bytes(packed)));
  return frame + packed;
}

bool is_index_frame(std::string_view bytes) { return little_at<std::uint32_t>(bytes, 0) == kIndexMagic; }

ArchiveIndex parse_index(std::string_view frame, const std::string& name) {
  if (frame.size() < kIndexHeaderBytes || !is_index_frame(frame) || frame.substr(kSkippableHeader, 4) != kIndexName ||
      little_at<std::uint32_t>(frame, 4) != frame.size() - kSkippableHeader)
    refuse(name, "the index is damaged");
  if (const auto version = little_at<std::uint32_t>(frame, 12); version != kIndexVersion)
    refuse(name, fmt::format("its index is of version {}, this reef reads {}", version, kIndexVersion));
  const auto raw_bytes = little_at<std::uint64_t>(frame, 16);
  const std::string_view packed = frame.substr(kIndexHeaderBytes);
  if (io::xxh3(as_bytes(packed)) != little_at<std::uint64_t>(frame, 24)) refuse(name, "the index's checksum is wrong");
  if (raw_bytes / kMostRatio > packed.size()) refuse(name, "the index is compressed beyond what an index can be");
  const std::string raw = decompress_text(packed, static_cast<std::size_t>(raw_bytes), name + ": its index");
  FieldReader in(raw);
  ArchiveIndex index;
  const auto frames = in.take<std::uint64_t>();
  if (frames > raw.size() / kFrameInfoBytes) refuse(name, "the index is damaged");
  index.frames.resize(static_cast<std::size_t>(frames));
  std::uint64_t archive_bytes = 0;
  for (FrameInfo& info : index.frames) {
    info.stored = in.take<std::uint32_t>();
    info.content = in.take<std::uint32_t>();
    info.checksum = in.take<std::uint32_t>();
    info.xxh3 = in.take<std::uint64_t>();
    if (info.content > kFrameBytes) refuse(name, "a frame in the index is too large");
    archive_bytes += info.content;
  }
  const auto entries = in.take<std::uint64_t>();
  if (entries > raw.size() / kLeastEntryBytes) refuse(name, "the index is damaged");
  index.entries.reserve(static_cast<std::size_t>(entries));
  for (std::uint64_t i = 0; i < entries && !in.has_failed(); ++i) {
    index.entries.push_back(take_entry(in));
    if (!is_sound(index.entries.back().tar, archive_bytes))
      refuse(name, "an entry in the index lies outside of the archive");
  }
  if (!in.is_spent()) refuse(name, "the index is damaged");
  check_entries(index.entries, name);
  return index;
}

void check_entries(const std::vector<IndexedEntry>& entries, const std::string& name) {
  // Only what was there before counts: a hard link follows its file, and nothing is ever put below a link.
  std::unordered_map<std::string_view, const Entry*> seen;
  seen.reserve(entries.size());
  for (const IndexedEntry& indexed : entries) {
    const Entry& entry = indexed.tar.entry;
    const std::string shown = io::shown(entry.path);
    if (!is_inner_path(entry.path) && !(entry.path.empty() && entry.type == EntryType::folder))
      refuse(name, fmt::format("{} would lie outside of the tree", shown));
    if (!seen.emplace(entry.path, &entry).second) refuse(name, fmt::format("{} comes twice", shown));
    const std::string_view path = entry.path;
    for (std::size_t slash = path.rfind('/'); slash != std::string_view::npos && slash > 0;
         slash = path.rfind('/', slash - 1)) {
      const auto above = seen.find(path.substr(0, slash));
      if (above != seen.end() && above->second->type != EntryType::folder)
        refuse(name, fmt::format("{} lies below what is no folder", shown));
    }
    if (entry.same_file_as.empty()) continue;
    const auto same = seen.find(entry.same_file_as);
    if (same == seen.end() || same->second->type != EntryType::file)
      refuse(name, fmt::format("{} is a hard link to no file before it", shown));
  }
}

}  // namespace reef::backup::internal
