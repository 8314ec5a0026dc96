#pragma once

#include <optional>
#include <string>

#include "reef/session/store.h"

namespace reef::session {

struct AppendOptions {
  std::string session;
  std::optional<std::string> persona;  ///< makes the session when it is not there
  std::string role, speaker, content;
  std::optional<std::string> id, time;
};

struct AppendReport {
  std::string session, persona;
  std::string external_id;
  std::int64_t id = 0;
  std::string created;  ///< in the database's form
  PutCounts counts;
};

/// Adds one message. One without an id is new, whatever is there; one with an id is added, changed, or already so.
/// Throws Error{not_found} for a session that is not there when no persona is given, Error{usage} for one that another
/// persona owns, and for a time that is none.
AppendReport append(const tree::Tree& tree, const AppendOptions& options);

std::string to_text(const AppendReport& report);
std::string to_json(const AppendReport& report);

}  // namespace reef::session
