#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reef/session/store.h"

namespace reef::session {

struct SessionList {
  std::vector<SessionRow> sessions;
};

std::string to_text(const SessionList& list);
/// One object a line.
std::string to_json(const SessionList& list);
std::string to_json(const SessionRow& session);

}  // namespace reef::session
