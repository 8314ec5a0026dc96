#pragma once

#include <string>

#include "reef/session/store.h"

namespace reef::session {

/// A message as 'show' prints it: a head line, then its text, nothing of which steers a terminal.
std::string to_text(const Message& message);
std::string to_json(const Message& message, const SessionRow& session);
/// The lines before the messages.
std::string heading(const SessionRow& session);

}  // namespace reef::session
