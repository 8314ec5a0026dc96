#include "reef/memory/search_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/text/full_text.h"

namespace reef::memory {
namespace {

constexpr std::size_t kPage = 4096;  ///< rows of one record
constexpr const char* kMend = "mend it: 'reef-memory export'";

std::vector<std::uint32_t> read_rows(io::Database& memories) {
  std::vector<std::uint32_t> rows;
  auto pages = memories.prepare("SELECT rows FROM map_rows ORDER BY page");
  while (pages.step()) {
    const auto blob = pages.blob(0);
    const std::size_t begin = rows.size();
    rows.resize(begin + blob.size() / sizeof(std::uint32_t));
    std::memcpy(rows.data() + begin, blob.data(), (rows.size() - begin) * sizeof(std::uint32_t));
  }
  return rows;
}

void write_rows(io::Database& memories, const std::vector<std::uint32_t>& rows) {
  memories.execute("DELETE FROM map_rows");
  auto put = memories.prepare("INSERT INTO map_rows(page, rows) VALUES (?, ?)");
  for (std::size_t begin = 0; begin < rows.size(); begin += kPage) {
    const std::size_t count = std::min(kPage, rows.size() - begin);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(rows.data() + begin);
    put.bind(1, static_cast<std::int64_t>(begin / kPage)).bind_blob(2, {bytes, count * sizeof(std::uint32_t)}).run();
  }
}

bool is_current(io::Database& memories) {
  auto state = memories.prepare("SELECT current FROM map_state");
  return state.step() && state.integer(0) != 0;
}

void count_words(io::Database& memories, std::vector<session::Turn>& turns) {
  auto words = memories.prepare("SELECT id, sz FROM memories_fts_docsize ORDER BY id");
  for (auto turn = turns.begin(); words.step();) {
    while (turn != turns.end() && turn->id < words.integer(0)) ++turn;
    if (turn != turns.end() && turn->id == words.integer(0))
      turn->words = static_cast<std::uint16_t>(std::min<std::uint32_t>(text::words_in_row(words.blob(1)), UINT16_MAX));
  }
}

}  // namespace

const char* const kSearchMapSchema = R"sql(
CREATE TABLE map_rows (page INTEGER PRIMARY KEY, rows BLOB NOT NULL) STRICT;
CREATE TABLE map_state (id INTEGER PRIMARY KEY CHECK (id = 1), current INTEGER NOT NULL) STRICT;
INSERT INTO map_state VALUES (1, 0);
CREATE TRIGGER memories_map_insert AFTER INSERT ON memories BEGIN
  UPDATE map_state SET current = 0 WHERE current <> 0;
END;
CREATE TRIGGER memories_map_update
  AFTER UPDATE OF id, content, source_session, created_at, source_message, speaker, importance, vector_row ON memories
BEGIN
  UPDATE map_state SET current = 0 WHERE current <> 0;
END;
CREATE TRIGGER memories_map_delete AFTER DELETE ON memories BEGIN
  UPDATE map_state SET current = 0 WHERE current <> 0;
END;
)sql";

SearchMap make_search_map(io::Database& memories) {
  struct Read {
    session::Turn turn;
    std::uint32_t row = SearchMap::kNoRow;
    bool follows = false;  ///< the one read before it, in the same session
  };
  SearchMap map;
  std::vector<Read> read;
  std::string session;
  auto select = memories.prepare(
      "SELECT id, source_session, speaker, importance, vector_row FROM memories INDEXED BY memories_search "
      "ORDER BY source_session, created_at, source_message, id");
  while (select.step()) {
    Read& memory = read.emplace_back();
    memory.turn.id = select.integer(0);
    memory.turn.speaker = map.turns.speaker(select.text(2));
    memory.turn.importance = static_cast<float>(select.real(3));
    if (!select.is_null(4)) memory.row = static_cast<std::uint32_t>(select.integer(4));
    memory.follows = !select.is_null(1) && read.size() > 1 && select.text(1) == session;
    session = select.text(1);
  }
  // Positions grow with ids, by which turns are looked up.
  std::vector<std::uint32_t> by_id(read.size()), position(read.size());
  std::iota(by_id.begin(), by_id.end(), 0);
  std::sort(by_id.begin(), by_id.end(), [&](auto a, auto b) { return read[a].turn.id < read[b].turn.id; });
  for (std::uint32_t i = 0; i < by_id.size(); ++i) position[by_id[i]] = i;
  std::vector<session::Turn> turns(read.size());
  map.rows.resize(read.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    turns[position[i]] = read[i].turn;
    map.rows[position[i]] = read[i].row;
  }
  for (std::size_t i = 1; i < read.size(); ++i) {
    if (!read[i].follows) continue;
    turns[position[i]].previous = position[i - 1];
    turns[position[i - 1]].next = position[i];
  }
  count_words(memories, turns);
  map.turns.assign(std::move(turns));
  return map;
}

std::optional<SearchMap> stored_search_map(io::Database& memories) {
  if (!is_current(memories)) return std::nullopt;
  SearchMap map;
  map.turns.load(memories, kMend);
  map.rows = read_rows(memories);
  if (map.rows.size() != map.turns.size())
    throw Error(Errc::corrupt,
                fmt::format("{}: map_rows knows {} memories, and turn_map {}", memories.path(), map.rows.size(),
                            map.turns.size()),
                kMend);
  return map;
}

SearchMap read_search_map(io::Database& memories) {
  try {
    if (auto stored = stored_search_map(memories)) return *std::move(stored);
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;  // `verify` tells of it
    log_step("{}", error.what());
  }
  return make_search_map(memories);
}

bool store_search_map(io::Database& memories, bool anew) {
  if (!anew && is_current(memories)) return false;
  io::Transaction transaction(memories);
  SearchMap map = make_search_map(memories);
  // Speakers whose memories are all forgotten are not to stay.
  memories.execute("DELETE FROM turn_map; DELETE FROM turn_speakers");
  map.turns.save(memories);
  write_rows(memories, map.rows);
  memories.execute("UPDATE map_state SET current = 1");
  transaction.commit();
  return true;
}

}  // namespace reef::memory
