#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/persona_change.h"
#include "reef/tree/tree.h"

/// Changes to all that belongs to a persona. Each is planned, recorded (tree/persona_change.h), done in steps that can
/// be taken again, and then struck off the record; what a killed run began, the next one finishes first. Error{locked}
/// where another run writes to a store of the persona, changes personas, or moves stores.
namespace reef::persona {

namespace fs = std::filesystem;

struct ChangeOptions {
  bool dry_run = false;
  std::chrono::milliseconds wait{0};
};

/// Something that a change is about: rows, a folder, a section of a file.
struct ChangeStep {
  std::string what;  ///< "sessions", "documents", "vectors", "turns", "memories", "personas.yaml"
  fs::path path;     ///< where it is
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
};

/// A change that an earlier run began and this one ended.
struct FinishedChange {
  tree::PersonaChange change;
  bool undone = false;  ///< an import that had not come to what it puts in place
};
using Finished = std::optional<FinishedChange>;

struct RenameReport {
  std::string from, to;
  bool dry_run = false;
  Finished finished;
  std::vector<ChangeStep> steps;  ///< none: it is so already
};

/// Gives a persona another id: in personas.yaml, whose comments and order stay, in the databases of all personas, and
/// in its folders, those on shards as well. Where `to` is there and `from` is not, it is so already.
/// Throws Error{not_found} for a persona that is not there, or whose store is out of reach, Error{usage} for an id that
/// cannot be, and for one that is taken.
RenameReport rename(const tree::Tree& tree, const std::string& from, const std::string& to,
                    const ChangeOptions& options, Progress& progress);

struct RemoveOptions : ChangeOptions {
  bool with_adapters = false;  ///< those that nobody else has
};

struct RemoveReport {
  std::string persona;
  bool dry_run = false;
  Finished finished;
  std::vector<ChangeStep> steps;   ///< what goes; none: it is so already
  std::vector<std::string> stays;  ///< what was its as well, and why it stays
  bool words_purged = true;        ///< else copies of words may be left in pages of a database that others use
};

/// Removes a persona and all that is its alone, as 'forget' does it: rows are overwritten, words leave the full text,
/// the write-ahead logs are emptied. Where there is nothing of it, it is so already. Throws Error{not_found} for one
/// whose store or archive is out of reach.
RemoveReport remove(const tree::Tree& tree, const std::string& persona, const RemoveOptions& options,
                    Progress& progress);

/// Ends what an earlier run began, if there is such a thing.
Finished finish_pending(const tree::Tree& tree, std::chrono::milliseconds wait, Progress& progress);

std::string to_text(const RenameReport& report);
std::string to_json(const RenameReport& report);
std::string to_text(const RemoveReport& report);
std::string to_json(const RemoveReport& report);

}  // namespace reef::persona
