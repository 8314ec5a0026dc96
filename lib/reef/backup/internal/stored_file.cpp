#include "reef/backup/internal/stored_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint64_t kBlocksAtOnce = 4096;

}  // namespace

StoredFile::StoredFile(Packs& packs, const StoredEntry& entry)
    : packs_(packs),
      path_(entry.entry.path),
      counts_(entry.counts),
      blocks_(packs, entry.content, entry.entry.size_bytes, io::shown(entry.entry.path)) {
  check_digest(entry);
}

void StoredFile::fail(std::uint64_t block, const std::string& what) const {
  throw OtherBlocks(Errc::corrupt,
                    fmt::format("{}: the block at byte {} {}", io::shown(path_), block * kBlockBytes, what),
                    "run 'reef-backup verify', which tells which snapshots have it whole");
}

void StoredFile::check_digest(const StoredEntry& entry) const {
  constexpr io::Sha256Digest kNoName{};
  io::Sha256 names;
  std::vector<StoredBlock> rows;
  for (std::uint64_t first = 0; first < blocks_.blocks(); first += kBlocksAtOnce) {
    check_interrupt();
    std::uint64_t block = first;
    for (const BlockRun& run : blocks_.runs(first, std::min(kBlocksAtOnce, blocks_.blocks() - first))) {
      rows.assign(run.pack == 0 ? 0 : run.count, {});
      if (run.pack != 0) packs_.get(run.pack)->rows(run.first, rows);
      for (std::uint32_t i = 0; i < run.count; ++i, ++block) {
        names.update(run.pack == 0 ? kNoName : rows[i].name);
        if (run.pack != 0 && rows[i].bytes != blocks_.bytes_of(block)) fail(block, "is of another length");
      }
    }
  }
  if (names.finish() != entry.content.digest)
    throw OtherBlocks(Errc::corrupt, fmt::format("{}: its blocks are not those that were stored", io::shown(path_)),
                      "run 'reef-backup verify'");
}

void StoredFile::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  if (into.empty()) return;
  const std::uint64_t end = offset + into.size();
  const std::uint64_t first = offset / kBlockBytes;
  const std::uint64_t count = (end - 1) / kBlockBytes + 1 - first;
  const std::uint64_t last = first + count - 1;
  try {
    if (offset % kBlockBytes == 0 && end == last * kBlockBytes + blocks_.bytes_of(last)) {
      read_blocks(first, count, into);
      return;
    }
    std::vector<std::uint8_t> whole((count - 1) * kBlockBytes + blocks_.bytes_of(last));
    read_blocks(first, count, whole);
    std::memcpy(into.data(), whole.data() + offset % kBlockBytes, into.size());
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    damaged_ = true;
    throw Error(error.code(), fmt::format("{}: {}", io::shown(path_), error.what()), error.hint());
  }
}

void StoredFile::read_blocks(std::uint64_t first, std::uint64_t count, std::span<std::uint8_t> into) const {
  std::vector<StoredBlock> rows;
  std::uint64_t block = first;
  for (const BlockRun& run : blocks_.runs(first, count)) {
    const std::uint64_t last = block + run.count - 1;
    const std::size_t bytes = (run.count - std::size_t{1}) * kBlockBytes + blocks_.bytes_of(last);
    const auto target = into.first(bytes);
    if (run.pack == 0) {
      std::memset(target.data(), 0, target.size());
    } else {
      const std::shared_ptr<const PackFile> pack = packs_.get(run.pack);
      rows.resize(run.count);
      pack->rows(run.first, rows);
      for (std::uint32_t i = 0; i < run.count; ++i)
        if (rows[i].bytes != blocks_.bytes_of(block + i)) fail(block + i, "is of another length");
      pack->read_blocks(run.first, rows, target);
    }
    into = into.subspan(bytes);
    block += run.count;
  }
}

std::uint64_t StoredFile::next_data(std::uint64_t offset) const {
  if (offset >= size_bytes()) return size_bytes();
  return std::min(size_bytes(), std::max(offset, blocks_.next_stored(offset / kBlockBytes) * kBlockBytes));
}

}  // namespace reef::backup::internal
