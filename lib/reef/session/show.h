#pragma once

#include <optional>
#include <string>

#include "reef/session/store.h"
#include "reef/session/summary.h"

namespace reef::session {

/// A message as 'show' prints it: a head line, then its text, nothing of which steers a terminal.
std::string to_text(const Message& message);
std::string to_json(const Message& message, const SessionRow& session);
/// The lines before the messages. `summary`: what a language model wrote, with the messages that it rests on.
std::string heading(const SessionRow& session, const std::optional<Summary>& summary = {});
/// reef.session.summary/1.
std::string to_json(const Summary& summary, const SessionRow& session);

}  // namespace reef::session
