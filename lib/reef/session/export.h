#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/session/store.h"

namespace reef::session {

struct ExportOptions {
  std::vector<std::string> sessions;   ///< none: all
  std::optional<std::string> persona;  ///< only those of this one
  std::string output;                  ///< "-": `to_stdout`
  bool force = false;                  ///< replace the file
};

struct ExportReport {
  std::string output;
  std::uint64_t sessions = 0, messages = 0, bytes = 0;
  /// Sessions whose archive is not there, of which nothing was written, or damaged: without what cannot be read.
  std::vector<std::pair<std::string, Error>> missing;
};

/// Writes messages as reef's own lines, sessions by id, as they are at one moment. A tree that imports the file exports
/// the same bytes. The file appears as a whole.
/// Throws Error{not_found} for a session that is not there, Error{usage} for an output that exists, without `force`.
ExportReport export_conversations(const tree::Tree& tree, const ExportOptions& options,
                                  const std::function<void(std::string_view)>& to_stdout, Progress& progress);

std::string to_text(const ExportReport& report);
std::string to_json(const ExportReport& report);

}  // namespace reef::session
