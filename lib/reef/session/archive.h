#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/core/time.h"
#include "reef/session/store.h"
#include "reef/tree/config.h"

namespace reef::session {

struct ArchiveOptions {
  std::vector<std::string> sessions;                    ///< none: those without a message for `older_than`
  std::optional<std::chrono::milliseconds> older_than;  ///< default: session.archive_after_days
  bool dry_run = false;
  std::chrono::milliseconds wait{0};  ///< for another run
};

struct ArchivedSession {
  std::string id, persona;
  std::uint64_t messages = 0;     ///< whose text is in the tree
  std::uint64_t attachments = 0;  ///< files in the tree
  std::filesystem::path file;
  bool has_changed = false;
  std::optional<Error> failure;
};

struct ArchiveReport {
  bool dry_run = false;
  std::vector<ArchivedSession> sessions;
  std::size_t failures() const;
};

/// Moves the texts of sessions to storage.archive/conversations/PERSONA/SESSION.jsonl, and their attachments into the
/// folder SESSION beside it: written, synced, read back and compared, and only then taken out of the tree. What is
/// archived is listed, found by its words, and read from there. Killed at any point, every text is in the tree or in
/// the archive with its place recorded; the next run goes on.
///
/// The failure of one session does not keep the others; of a single one it is thrown. Throws Error{usage} or
/// Error{not_found} for an archive that cannot be, Error{locked} after `wait`.
ArchiveReport archive_sessions(const tree::Tree& tree, const tree::Config& config, const ArchiveOptions& options,
                               Progress& progress);

std::string to_text(const ArchiveReport& report);
std::string to_json(const ArchiveReport& report);

}  // namespace reef::session
