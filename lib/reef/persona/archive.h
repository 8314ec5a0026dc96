#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reef/core/progress.h"
#include "reef/persona/change.h"
#include "reef/persona/rows.h"
#include "reef/tree/tree.h"

/// A persona as one file, which goes from tree to tree: a tar archive in frames of zstd's (backup/archive_writer.h).
///
///   persona.json            what it is of (internal/archive_record.h)
///   conversations.sqlite    its sessions, messages and summaries; texts that were archived stand in it
///   documents.sqlite        its sources
///   conversations/SESSION/  attachments
///   originals/raw/, originals/processed/   what those sources need
///   vectors/, turns/, memories/            as in the tree
///   adapters/NAME/          with their manifests
namespace reef::persona {

struct ExportOptions {
  fs::path output;
  bool force = false;                 ///< replace the file
  std::chrono::milliseconds wait{0};  ///< for runs that write to the persona's stores
  unsigned threads = 0;               ///< 0: all cores
};

struct ExportReport {
  std::string persona;
  fs::path output;
  Counts counts;            ///< sessions, messages, sources, originals, adapters
  std::uint64_t files = 0;  ///< in the archive
  std::uint64_t bytes = 0;  ///< of them
  std::uint64_t archive_bytes = 0;
  std::vector<std::string> notes;  ///< what is not in it
};

/// Writes the archive, which appears whole. Who adds to conversations goes on; those who write to the persona's
/// vectors and memories wait for the end of it. Throws Error{usage} for a file that is there, without `force`,
/// Error{not_found} for a persona, store or archive of conversations that is not there, Error{locked} after `wait`.
ExportReport export_persona(const tree::Tree& tree, const std::string& persona, const ExportOptions& options,
                            Progress& progress);

struct ImportOptions : ChangeOptions {
  fs::path file;
  std::optional<std::string> as;  ///< another id
  unsigned threads = 0;           ///< 0: all cores
};

struct ImportReport {
  std::string persona;
  std::string from;  ///< its id in the archive
  bool dry_run = false;
  Finished finished;
  Counts counts;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> notes;  ///< what has to be done yet
};

/// Takes a persona in. Everything is written beside the tree's own files and checked there: bytes against their
/// checksums, databases in themselves, originals and adapters against their digests. Messages get numbers that nobody
/// had here. Only then it is put in place; a run that is killed before that leaves nothing that the next one does not
/// remove, and one that is killed later is finished by the next one.
///
/// Throws Error{usage} for a persona that is there, for sessions whose ids are taken, naming them, and for an adapter
/// of that name with other content; Error{corrupt} for what is damaged, or no such archive.
ImportReport import_persona(const tree::Tree& tree, const ImportOptions& options, Progress& progress);

std::string to_text(const ExportReport& report);
std::string to_json(const ExportReport& report);
std::string to_text(const ImportReport& report);
std::string to_json(const ImportReport& report);

}  // namespace reef::persona
