#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::session {

struct VerifyFault {
  std::string place;  ///< a file or folder, or "session ID"
  std::string what;
  std::string next_step;
};

/// A persona whose vectors another run was writing.
struct VerifySkipped {
  std::string persona, why, next_step;
};

struct VerifyReport {
  std::uint64_t sessions = 0, messages = 0, archived = 0;
  std::vector<VerifyFault> faults;
  std::vector<VerifySkipped> skipped;
};

/// Compares conversations.sqlite with itself, its full text with the messages (archived ones as their archive has
/// them), and folders and archive files with the sessions. Changes nothing but for what killed runs left; the full text
/// is compared in a copy of the database, which is removed again, for that takes a write lock as long as it lasts.
/// `persona`: only its sessions, archives and messages; the database is checked as a whole.
/// Throws Error{not_found} when there are no conversations, Error{locked} after `wait`.
VerifyReport verify(const tree::Tree& tree, const std::optional<std::string>& persona, std::chrono::milliseconds wait,
                    Progress& progress);

std::string to_text(const VerifyReport& report);
std::string to_json(const VerifyReport& report);

}  // namespace reef::session
