#include "reef/session/turn_passages.h"

#include "reef/core/error.h"
#include "reef/session/index.h"
#include "reef/session/store.h"

namespace reef::session {

TurnPassages::TurnPassages(io::Database& conversations)
    : conversations_(&conversations),
      place_(conversations,
             "SELECT session_id, created_at FROM messages WHERE id = ?1 AND"
             " (content = ?2 OR archive_offset IS NOT NULL)"),
      previous_(conversations,
                "SELECT id FROM messages WHERE session_id = ?1 AND (created_at, id) < (?2, ?3)"
                " ORDER BY created_at DESC, id DESC LIMIT 1") {}

std::string TurnPassages::of(std::int64_t message, std::string_view content, const embed::Embedder& embedder) {
  std::int64_t previous = 0;
  if (place_.bind(1, message).bind(2, content).step()) {
    previous_.bind(1, place_.text(0)).bind(2, place_.text(1)).bind(3, message);
    if (previous_.step()) previous = previous_.integer(0);
    previous_.reset();
  }
  place_.reset();
  if (previous == 0) return std::string(content);
  try {
    const auto before = read_message(*conversations_, archives_, previous);
    return before ? turn_passage(before->content, content, embedder) : std::string(content);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return std::string(content);
  }
}

}  // namespace reef::session
