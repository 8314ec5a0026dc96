#include "reef/session/turn_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/error.h"

namespace reef::session {
namespace {

static_assert(sizeof(Turn) == 24 && std::is_trivially_copyable_v<Turn>, "the entries of table turn_map");

std::int64_t magnitude(const Turn& turn) { return turn.id < 0 ? -turn.id : turn.id; }

[[noreturn]] void throw_damaged(const io::Database& database, const std::string& what, const char* next_step) {
  throw Error(Errc::corrupt, fmt::format("{}: table turn_map: {}", database.path(), what), next_step);
}

}  // namespace

std::string speaker_of(std::string_view role, std::string_view speaker) {
  const bool is_program = role == "tool" || role == "function" || role == "system" || role == "developer";
  return is_program ? std::string() : std::string(speaker);
}

const char* const TurnMap::kSchema = R"sql(
CREATE TABLE turn_map (page INTEGER PRIMARY KEY, turns BLOB NOT NULL) STRICT;
CREATE TABLE turn_speakers (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
)sql";

void TurnMap::load(io::Database& database, const char* next_step) {
  *this = {};
  auto count = database.prepare("SELECT count(*) FROM turn_map");
  count.step();
  turns_.reserve(static_cast<std::size_t>(count.integer(0)) * kPage);
  ascending_.reserve(turns_.capacity());
  auto pages = database.prepare("SELECT page, turns FROM turn_map ORDER BY page");
  while (pages.step()) {
    const auto blob = pages.blob(1);
    if (pages.integer(0) != static_cast<std::int64_t>(stored_pages_) || turns_.size() % kPage != 0 || blob.empty() ||
        blob.size() % sizeof(Turn) != 0 || blob.size() > kPage * sizeof(Turn))
      throw_damaged(database, fmt::format("page {} is damaged", pages.integer(0)), next_step);
    const std::size_t begin = turns_.size();
    turns_.resize(begin + blob.size() / sizeof(Turn));
    std::memcpy(turns_.data() + begin, blob.data(), blob.size());
    ++stored_pages_;
  }
  auto names = database.prepare("SELECT number, name FROM turn_speakers ORDER BY number");
  while (names.step()) {
    speakers_.emplace_back(names.text(1));
    numbers_.emplace(speakers_.back(), static_cast<std::uint16_t>(speakers_.size()));
    if (names.integer(0) != static_cast<std::int64_t>(speakers_.size()))
      throw_damaged(database, "a speaker is missing", next_step);
  }
  stored_speakers_ = speakers_.size();
  const auto is_position = [&](std::uint32_t p) { return p == kNoTurn || p < turns_.size(); };
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    const Turn& turn = turns_[i];
    if (turn.id == 0 || !is_position(turn.previous) || !is_position(turn.next) || turn.speaker > speakers_.size())
      throw_damaged(database, fmt::format("turn {} is damaged", i), next_step);
    index(i);
  }
}

void TurnMap::save(io::Database& database) {
  std::sort(changed_.begin(), changed_.end());
  changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
  auto put = database.prepare("INSERT OR REPLACE INTO turn_map (page, turns) VALUES (?, ?)");
  for (const std::size_t page : changed_) {
    const std::size_t begin = page * kPage;
    if (begin >= turns_.size()) continue;
    const std::size_t count = std::min(kPage, turns_.size() - begin);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(turns_.data() + begin);
    put.bind(1, static_cast<std::int64_t>(page)).bind_blob(2, {bytes, count * sizeof(Turn)}).run();
  }
  const std::size_t pages = (turns_.size() + kPage - 1) / kPage;
  if (pages < stored_pages_)
    database.prepare("DELETE FROM turn_map WHERE page >= ?").bind(1, static_cast<std::int64_t>(pages)).run();
  stored_pages_ = pages;
  auto name = database.prepare("INSERT INTO turn_speakers (number, name) VALUES (?, ?)");
  for (; stored_speakers_ < speakers_.size(); ++stored_speakers_)
    name.bind(1, static_cast<std::int64_t>(stored_speakers_ + 1)).bind(2, speakers_[stored_speakers_]).run();
  changed_.clear();
}

std::uint16_t TurnMap::speaker(std::string_view name) {
  if (name.empty()) return 0;
  if (const auto known = numbers_.find(std::string(name)); known != numbers_.end()) return known->second;
  if (speakers_.size() >= UINT16_MAX) return 0;
  speakers_.emplace_back(name);
  const auto number = static_cast<std::uint16_t>(speakers_.size());
  numbers_.emplace(speakers_.back(), number);
  return number;
}

/// A message may have been here before it was changed: the last one counts.
void TurnMap::index(std::size_t position) {
  if (ascending_.empty() || magnitude(turns_[ascending_.back()]) < magnitude(turns_[position]))
    ascending_.push_back(static_cast<std::uint32_t>(position));
  else
    others_.insert_or_assign(magnitude(turns_[position]), static_cast<std::uint32_t>(position));
}

std::optional<std::uint32_t> TurnMap::position_of(std::int64_t id) const {
  if (const auto other = others_.find(id); other != others_.end())
    return turns_[other->second].is_removed() ? std::nullopt : std::optional(other->second);
  if (ascending_.empty() || id < magnitude(turns_[ascending_.front()])) return std::nullopt;
  // Ids ascend by one at least: it stands there at the latest, and mostly there.
  const auto last = static_cast<std::ptrdiff_t>(
      std::min(ascending_.size() - 1, static_cast<std::size_t>(id - magnitude(turns_[ascending_.front()]))));
  const auto end = ascending_.begin() + last;
  if (turns_[*end].id == id) return *end;
  const auto found = std::lower_bound(ascending_.begin(), end, id, [&](std::uint32_t position, std::int64_t wanted) {
    return magnitude(turns_[position]) < wanted;
  });
  return turns_[*found].id == id ? std::optional(*found) : std::nullopt;
}

void TurnMap::touch(std::size_t position) {
  const std::size_t page = position / kPage;
  if (changed_.empty() || changed_.back() != page) changed_.push_back(page);
}

std::uint32_t TurnMap::add(Turn turn, std::optional<std::uint32_t> previous, std::optional<std::uint32_t> next) {
  const auto position = static_cast<std::uint32_t>(turns_.size());
  turn.previous = previous.value_or(kNoTurn);
  turn.next = next.value_or(kNoTurn);
  if (previous) {
    turns_[*previous].next = position;
    touch(*previous);
  }
  if (next) {
    turns_[*next].previous = position;
    touch(*next);
  }
  turns_.push_back(turn);
  touch(position);
  index(position);
  return position;
}

void TurnMap::remove(std::uint32_t position) {
  Turn& turn = turns_[position];
  if (turn.is_removed()) return;
  if (turn.previous != kNoTurn) {
    turns_[turn.previous].next = turn.next;
    touch(turn.previous);
  }
  if (turn.next != kNoTurn) {
    turns_[turn.next].previous = turn.previous;
    touch(turn.next);
  }
  turn = {-turn.id, kNoTurn, kNoTurn, 0, 0, 0};
  touch(position);
}

void TurnMap::set_importance(std::uint32_t position, float importance) {
  turns_[position].importance = importance;
  touch(position);
}

void TurnMap::renumber(std::span<const std::uint64_t> kept) {
  std::vector<std::uint32_t> now(turns_.size(), kNoTurn);
  for (std::size_t i = 0; i < kept.size(); ++i) now[kept[i]] = static_cast<std::uint32_t>(i);
  const auto moved = [&](std::uint32_t position) { return position == kNoTurn ? kNoTurn : now[position]; };
  for (std::size_t i = 0; i < kept.size(); ++i) {
    Turn turn = turns_[kept[i]];
    turn.previous = moved(turn.previous);
    turn.next = moved(turn.next);
    turns_[i] = turn;
  }
  turns_.resize(kept.size());
  ascending_.clear();
  others_.clear();
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    index(i);
    if (i % kPage == 0) touch(i);
  }
}

void TurnMap::assign(std::vector<Turn> turns) {
  clear();
  turns_ = std::move(turns);
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    index(i);
    touch(i);
  }
}

void TurnMap::clear() {
  turns_.clear();
  ascending_.clear();
  others_.clear();
  changed_.clear();
}

}  // namespace reef::session
