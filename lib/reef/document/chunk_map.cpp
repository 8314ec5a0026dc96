#include "reef/document/chunk_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/error.h"

namespace reef::document {

void ChunkMap::load(io::Database& database) {
  *this = {};
  static_assert(sizeof(Entry) == 6, "the entries of table chunk_map");
  // No chunk has a higher id than the last one given: a damaged number must not ask for terabytes.
  auto statement = database.prepare(
      "SELECT page, entries, (SELECT seq FROM sqlite_sequence WHERE name = 'chunks') FROM chunk_map ORDER BY page "
      "DESC");
  while (statement.step()) {
    const std::int64_t page = statement.integer(0);
    const auto blob = statement.blob(1);
    if (page < 0 || page > statement.integer(2) / kPage || blob.size() > kPage * sizeof(Entry) ||
        blob.size() % sizeof(Entry) != 0)
      throw Error(Errc::corrupt, fmt::format("{}: table chunk_map, page {} is damaged", database.path(), page),
                  "restore the file from a backup, or remove the scope's documents and ingest them again");
    const auto begin = static_cast<std::size_t>(page * kPage);
    // The last page comes first: one allocation holds all.
    entries_.resize(std::max(entries_.size(), begin + blob.size() / sizeof(Entry)));
    std::memcpy(entries_.data() + begin, blob.data(), blob.size());
  }
  for (const Entry& entry : entries_) count(entry, 1);
}

void ChunkMap::count(const Entry& entry, std::int64_t sign) {
  if (entry.words == 0) return;
  const int kind = (entry.words & kTextOnly) != 0 ? 1 : 0;
  rows_[kind] += sign;
  words_[kind] += sign * (entry.words & kWords);
}

void ChunkMap::touch(std::int64_t chunk) {
  if (changed_.empty() || changed_.back() != chunk / kPage) changed_.push_back(chunk / kPage);
}

std::optional<std::uint64_t> ChunkMap::row(std::int64_t chunk) const {
  const Entry entry = at(chunk);
  if (entry.words == 0 || (entry.words & kTextOnly) != 0) return std::nullopt;
  return entry.row();
}

std::optional<std::int64_t> ChunkMap::chunk_of_row(std::uint64_t row) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), row,
                                      [](const Entry& entry, std::uint64_t wanted) { return entry.row() < wanted; });
  // Row 0 is also what the entries before the first vector repeat.
  for (auto entry = found; entry != entries_.end() && entry->row() == row; ++entry)
    if (entry->words != 0 && (entry->words & kTextOnly) == 0) return entry - entries_.begin();
  return std::nullopt;
}

void ChunkMap::set(std::int64_t chunk, std::uint32_t words, std::optional<std::uint64_t> row) {
  if (row && *row > UINT32_MAX)
    throw Error(Errc::failed, "a store holds at most 4,294,967,296 vectors", "spread the documents over personas");
  const auto index = static_cast<std::size_t>(chunk);
  const std::uint32_t before = entries_.empty() ? 0 : entries_.back().row();
  while (entries_.size() <= index) {
    Entry gap;
    gap.row_low = static_cast<std::uint16_t>(before);
    gap.row_high = static_cast<std::uint16_t>(before >> 16);
    touch(static_cast<std::int64_t>(entries_.size()));
    entries_.push_back(gap);
  }
  Entry& entry = entries_[index];
  count(entry, -1);
  // At least one word, so that a chunk without any still counts as a row.
  entry.words = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(words, 1, kWords) | (row ? 0u : kTextOnly));
  if (row) {
    entry.row_low = static_cast<std::uint16_t>(*row);
    entry.row_high = static_cast<std::uint16_t>(*row >> 16);
  }
  count(entry, 1);
  touch(chunk);
}

void ChunkMap::clear(std::int64_t chunk) {
  if (chunk < 0 || static_cast<std::size_t>(chunk) >= entries_.size()) return;
  Entry& entry = entries_[static_cast<std::size_t>(chunk)];
  count(entry, -1);
  entry.words = 0;
  touch(chunk);
}

void ChunkMap::renumber(std::span<const std::uint64_t> kept) {
  // Entries are sorted by row, those without one included; a removed row becomes the next that was kept.
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    while (next < kept.size() && kept[next] < entries_[i].row()) ++next;
    entries_[i].row_low = static_cast<std::uint16_t>(next);
    entries_[i].row_high = static_cast<std::uint16_t>(next >> 16);
    if (i % kPage == 0) touch(static_cast<std::int64_t>(i));
  }
}

void ChunkMap::save(io::Database& database) {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  auto statement = database.prepare("INSERT OR REPLACE INTO chunk_map (page, entries) VALUES (?, ?)");
  for (const std::int64_t page : changed_) {
    const auto begin = static_cast<std::size_t>(page * kPage);
    const std::size_t size = std::min(entries_.size() - begin, static_cast<std::size_t>(kPage));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(entries_.data() + begin);
    statement.bind(1, page).bind_blob(2, {bytes, sizeof(Entry) * size}).run();
  }
  changed_.clear();
}

}  // namespace reef::document
