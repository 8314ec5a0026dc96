#include "reef/session/turn_passages.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/session/store.h"
#include "reef/session/turn_store.h"

namespace reef::session {
namespace {

/// The first row that says something; 0 for none.
std::int64_t first_that_speaks(io::Statement& rows, std::string_view session, std::string_view created,
                               std::int64_t id) {
  rows.reset().bind(1, session).bind(2, created).bind(3, id);
  std::int64_t found = 0;
  while (found == 0 && rows.step())
    if (rows.integer(1) != 0 || !is_blank_turn(rows.text(2))) found = rows.integer(0);
  rows.reset();
  return found;
}

}  // namespace

TurnNeighbours::TurnNeighbours(io::Database& conversations)
    : previous_(conversations,
                "SELECT id, archive_offset IS NOT NULL, content FROM messages WHERE session_id = ?1 "
                "AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC, id DESC"),
      next_(conversations,
            "SELECT id, archive_offset IS NOT NULL, content FROM messages WHERE session_id = ?1 "
            "AND (created_at, id) > (?2, ?3) ORDER BY created_at, id") {}

std::int64_t TurnNeighbours::previous(std::string_view session, std::string_view created, std::int64_t id) {
  return first_that_speaks(previous_, session, created, id);
}

std::int64_t TurnNeighbours::next(std::string_view session, std::string_view created, std::int64_t id) {
  return first_that_speaks(next_, session, created, id);
}

std::string turn_passage(std::string_view previous, std::string_view turn, const embed::Embedder& embedder) {
  if (is_blank_turn(previous)) return std::string(turn);
  constexpr std::size_t kLongestWord = 64;  // bytes within which a space is looked for
  const std::size_t limit = embedder.passage_tokens(), own = embedder.count_tokens(turn);
  std::size_t there = embedder.count_tokens(previous);
  std::string_view tail = previous;
  while (own + there > limit) {
    if (own >= limit) return std::string(turn);
    // A cut in proportion, then at the next space, or in text without any at the next character; what is left may have
    // a few tokens too many still.
    std::size_t begin = tail.size() - std::min(tail.size() - 1, tail.size() * (limit - own) / there);
    const std::size_t space = tail.substr(begin, kLongestWord).find(' ');
    if (space != std::string_view::npos) begin += space + 1;
    while (begin < tail.size() && (static_cast<unsigned char>(tail[begin]) & 0xC0) == 0x80) ++begin;
    tail.remove_prefix(begin);
    if (is_blank_turn(tail)) return std::string(turn);
    there = embedder.count_tokens(tail);
  }
  return fmt::format("{}\n{}", tail, turn);
}

TurnPassages::TurnPassages(io::Database& conversations)
    : conversations_(&conversations),
      place_(conversations,
             "SELECT session_id, created_at FROM messages WHERE id = ?1 AND"
             " (content = ?2 OR archive_offset IS NOT NULL)"),
      neighbours_(conversations) {}

std::string TurnPassages::of(std::int64_t message, std::string_view content, const embed::Embedder& embedder) {
  std::int64_t previous = 0;
  if (place_.bind(1, message).bind(2, content).step())
    previous = neighbours_.previous(place_.text(0), place_.text(1), message);
  place_.reset();
  if (previous == 0) return std::string(content);
  try {
    const auto before = read_message(*conversations_, archives_, previous);
    return before ? turn_passage(before->content, content, embedder) : std::string(content);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found && error.code() != Errc::corrupt) throw;
    return std::string(content);
  }
}

}  // namespace reef::session
