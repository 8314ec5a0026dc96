#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::backup {

struct CaptureOptions {
  /// How long to ask again for a database that another process keeps locked.
  std::chrono::milliseconds patience{10'000};
  /// For copies of databases without a write-ahead log, whose writers would wait until they are read otherwise. Empty:
  /// the system's folder for temporary files.
  fs::path scratch = {};
  /// Folders that no snapshot holds wherever they lie in the tree: destinations of backups.
  std::vector<fs::path> never;
  /// Runs PRAGMA quick_check on every database that changed, within the same transaction: about a second for 600 MB.
  bool check_databases = false;
};

/// A path that the snapshot does not hold as it should, or not at all.
struct CaptureProblem {
  std::string path;
  std::string what;
  std::string hint;
};

struct CaptureReport {
  std::uint64_t files = 0;  ///< in the snapshot, kept ones included
  std::uint64_t kept = 0;   ///< that were taken over without a look at their content
  std::uint64_t folders = 0;
  std::uint64_t links = 0;
  std::uint64_t databases = 0;           ///< captured as of one commit
  std::vector<std::string> changed;      ///< changed while they were read, each time, and were taken as they are
  std::vector<CaptureProblem> problems;  ///< with any of them, or of `changed`, the run finished in part: status 3
  std::vector<CaptureProblem>
      notes;  ///< links that lead out of the tree; sockets, pipes and devices, which are left out
  bool is_partial() const { return !changed.empty() || !problems.empty(); }
};

/// Puts what a tier's snapshots hold of a tree into `writer`, and leaves commit() to the caller. Nobody who writes to
/// the tree waits for it or is told that something is busy. Nothing in the tree is written but what SQLite keeps beside
/// a database that is in use or was left by a killed process.
///
/// What is consistent: each database is of one commit; a vector store has the files and rows that its metadata.sqlite
/// names; embeddings.npy is left out where it is not that of its memories.sqlite, from which the next run makes it
/// again. Among one another, what is derived is never newer than what it is derived from: memories and vectors of
/// conversations come before conversations.sqlite. documents.sqlite comes before the chunks of its documents, so that
/// a document that is in work at that moment is pending, and the next run finishes it.
///
/// Stores on shards are under the tree's path, their folder with the link's target in link_target. A file that changes
/// while it is read is read again, three times at most, then taken as it is and named. One that vanishes is not there.
/// One that cannot be read, a database that is damaged, locked or on a drive that is not mounted are named, and told
/// to the writer; of damaged ones the bytes are taken as they lie, with their log, and looked at again each time.
///
/// Order: depth first, names ascending by their bytes, but for the folders named above, `vectors` before `models`, and
/// the database of a store before its files.
///
/// `progress` is told of bytes that were read; stores that tell of those, too, are given no_progress().
///
/// Throws what the writer throws, and Error{failed} where the tree itself cannot be read.
CaptureReport capture(const tree::Tree& tree, int tier, SnapshotWriter& writer, const CaptureOptions& options,
                      Progress& progress);

}  // namespace reef::backup
