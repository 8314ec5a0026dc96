#include "reef/backup/internal/header_check.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

bool is_same(const TarEntry& a, const TarEntry& b) {
  const Entry& x = a.entry;
  const Entry& y = b.entry;
  return a.header == b.header && a.data == b.data && a.extents == b.extents && x.path == y.path && x.type == y.type &&
         x.mode == y.mode && x.uid == y.uid && x.gid == y.gid && x.modified_ns == y.modified_ns &&
         x.size_bytes == y.size_bytes && x.link_target == y.link_target && x.same_file_as == y.same_file_as;
}

}  // namespace

HeaderCheck::HeaderCheck(FrameReader& frames, const FrameTable& table, const std::string& name)
    : table_(table),
      scanner_([&frames](std::uint64_t offset, std::span<std::uint8_t> into) { frames.read(offset, into); },
               table.tar_bytes, name) {}

void HeaderCheck::advance(std::size_t frame, bool is_sound) {
  const std::uint64_t end = table_.frames[frame].begin + table_.frames[frame].info.content;
  if (!is_sound) sound_from_ = end;
  const std::vector<IndexedEntry>& entries = *table_.entries;
  for (; next_ < entries.size() && entries[next_].tar.data <= end; ++next_) {
    if (entries[next_].tar.header >= sound_from_) compare(frame);
  }
}

void HeaderCheck::compare(std::size_t frame) {
  const TarEntry& indexed = (*table_.entries)[next_].tar;
  const FrameAt& at = table_.frames[frame];
  const auto fault = [&](const std::string& what) {
    faults_.push_back({at.offset, at.offset + at.info.stored, what, {indexed.entry.path}});
  };
  try {
    const bool is_last = next_ + 1 == table_.entries->size();
    const std::uint64_t follows = is_last ? table_.tar_bytes - kTarEndBytes : (*table_.entries)[next_ + 1].tar.header;
    scanner_.move_to(indexed.header);
    const std::optional<TarEntry> found = scanner_.next();
    if (!found || !is_same(*found, indexed) || scanner_.position() != follows)
      fault(fmt::format("the header of {} is not what the index says", io::shown(indexed.entry.path)));
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    fault(error.what());
  }
}

}  // namespace reef::backup::internal
