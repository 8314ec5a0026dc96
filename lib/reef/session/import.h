#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/session/store.h"
#include "reef/tree/tree.h"

namespace reef::session {

enum class Format { automatic, jsonl, openai, chatgpt, sillytavern };

/// Something of the input that could not be taken in.
struct ImportFault {
  std::string file;
  std::uint64_t line = 0;  ///< 0: the whole file
  std::string reason;
  std::string hint;
};

struct ImportOptions {
  std::vector<std::string> files;  ///< "-": standard input
  std::string persona;             ///< must be one of personas.yaml
  Format format = Format::automatic;
  std::string prefix;                                ///< put before the id of every session
  std::function<void(const ImportFault&)> on_fault;  ///< called when one is found; it stands in the report, too
};

struct ImportReport {
  std::string persona;
  std::uint64_t messages = 0;  ///< read without a fault
  PutCounts counts;
  std::uint64_t skipped = 0;  ///< messages that could not be taken in, with those that are not named in faults
  std::vector<ImportFault> faults;
  double seconds = 0;
  bool changed() const { return counts.sessions + counts.added + counts.updated + counts.titled > 0; }
};

/// Takes conversations in, reading each file once from beginning to end in bounded memory; lines up to 64 MiB. What was
/// read stays, whatever comes later; a pipe that has nothing more for a moment is no reason to wait with it. A message
/// that is there is not added again.
///
/// A message without an id goes by message_digest(). One without a time takes that of the message before it in its
/// session, else that of its file's last change (of a pipe: now); its digest does without.
/// Throws Error{not_found} for a file that is not there, Error{usage} for one that is no text in UTF-8 by its first
/// bytes (both before anything is written, but for a pipe), Error{interrupted}, and as Store does.
ImportReport import_conversations(const tree::Tree& tree, const ImportOptions& options, Progress& progress);

std::string to_text(const ImportReport& report);
std::string to_json(const ImportReport& report);

}  // namespace reef::session
