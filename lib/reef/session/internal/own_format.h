#pragma once

#include <string>
#include <string_view>

#include "reef/session/store.h"

namespace reef::session::internal {

/// What an object of an input looks like.
enum class Shape { own, openai, chatgpt, tavern_header, tavern_message };

struct OwnLine {
  Shape shape = Shape::own;  ///< by its keys; of another form nothing else is filled
  NewMessage message;        ///< without an id: external_id is empty; without a time: created is
  std::string fault;         ///< what is wrong; empty: nothing
  bool is_bare = false;      ///< a role and a content, and no key for a session
};

/// Reads {session, role, speaker, content, created_at, id, tokens, metadata, title, summary}. Other keys are ignored.
OwnLine read_own(std::string_view line);

struct OwnExport {
  const SessionRow* session = nullptr;
  bool is_first = false;  ///< of its session: title and summary stand on that line
};
/// Appends the line, with its end.
void write_own(std::string& out, const Message& message, const OwnExport& place);

/// A time in the form that databases hold; `text` as parse_time() reads it, also without seconds and with an offset
/// like "+0100" or "+01", or from nine digits on as a number. Empty when it is none.
std::string database_time(std::string_view text);
/// Of seconds since the epoch, or of milliseconds where they are so many.
std::string database_time_of_number(double number);
std::string database_time_of_seconds(double seconds);

}  // namespace reef::session::internal
