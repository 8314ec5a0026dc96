#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/session/store.h"

namespace reef::session {

struct DeleteOptions {
  std::vector<std::string> sessions;
  bool plan_only = false;
  bool only_empty = false;            ///< one that has a message stays
  std::chrono::milliseconds wait{0};  ///< for another run
};

/// What belongs to a session, and goes with it.
struct DeletedSession {
  std::string id, persona;
  std::uint64_t messages = 0;
  std::uint64_t attachments = 0;       ///< files, in the tree and in the archive
  std::filesystem::path archive_file;  ///< empty: none
  std::optional<Error> failure;
};

struct DeleteReport {
  bool plan_only = false;
  std::vector<DeletedSession> sessions;
  std::vector<std::string> not_found;
  std::size_t failures() const;
};

/// Removes sessions: messages with their words, attachments, archived copies, the session itself last. A run that is
/// killed leaves a session with fewer messages, and the next one removes the rest. Afterwards the full text is merged,
/// so that words of removed messages are in it no longer.
///
/// Archived messages need their archive, which says what their words are. The failure of one session does not keep the
/// others; of a single one it is thrown. Throws Error{not_found} when none of the sessions is there, Error{locked}.
DeleteReport delete_sessions(const tree::Tree& tree, const DeleteOptions& options, Progress& progress);

std::string to_text(const DeleteReport& report);
std::string to_json(const DeleteReport& report);

}  // namespace reef::session
