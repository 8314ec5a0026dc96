#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/core/progress.h"

namespace reef::recover {

/// What is wrong with a restored file, and what to do about it.
struct CheckFault {
  std::string file;  ///< relative to the tree
  std::string what;
  std::string next_step;
  bool is_derived = false;  ///< it can be made again from what is sound: rebuild() does (rebuild.h)
};

struct CheckReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t databases = 0;  ///< opened, with their integrity and the rows of their tables checked
  std::uint64_t rows = 0;       ///< of tables and vector files, that were recorded and are there
  std::uint64_t indexes = 0;    ///< vector stores that answered with one of their own rows
  std::vector<CheckFault> faults;

  /// Whether nothing is wrong that cannot be made again.
  bool is_sound() const;
};

using Entries = std::vector<std::pair<backup::Entry, backup::Counts>>;

/// Compares a restored tree, or a part of one, with the entries of its snapshot: every file is there in its size, every
/// database opens and passes PRAGMA integrity_check, holds the rows that were counted when it was captured, and so does
/// every .npy file; every vector store is compared with itself and finds rows of its own. Opens databases where they
/// lie, so that no other process may have them. Leaves the files as they are. Throws
/// Error{failed} where they cannot be read, or SQLite has no room beside them.
CheckReport check(const std::filesystem::path& folder, const Entries& entries, unsigned threads, Progress& progress);

}  // namespace reef::recover
