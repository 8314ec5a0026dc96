#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reef/backup/internal/snapshot_id.h"
#include "reef/backup/internal/tree_record.h"
#include "reef/backup/snapshot_store.h"

/// The files of DatedFolders beside those of the tree; dated_folders.h tells what each is for.
namespace reef::backup::internal {

inline constexpr const char* kTreeFolder = "tree";
inline constexpr const char* kTreeList = "tree.mtree";
inline constexpr const char* kSummary = "snapshot.json";
inline constexpr const char* kSums = "SHA256SUMS";

/// What snapshot.json says.
struct DatedSummary {
  Snapshot snapshot;
  std::vector<std::string> damaged;  ///< files that were damaged in the tree: the snapshot is, from its beginning
  io::Sha256Digest list{};           ///< of tree.mtree
};

std::string to_text(const DatedSummary& summary);
/// Throws Error{corrupt} for a missing or damaged file, or that of another snapshot.
DatedSummary read_summary(const fs::path& snapshot);

/// The entries of a snapshot. Throws Error{corrupt} where the list or the summary is damaged.
std::vector<TreeRecord> read_records(const fs::path& snapshot);

/// What SHA256SUMS must hold.
std::string sums_of(const std::vector<TreeRecord>& records, const std::string& list, const std::string& summary);

/// What checks found: ".<id>.checked" beside the snapshot, one line of sealed JSON.
struct CheckNote {
  std::optional<Time> verified;
  std::optional<Time> damaged;
  std::set<std::string> paths;  ///< whose content is damaged
};
/// Empty where there is none, or it is damaged itself: then nothing is known.
CheckNote read_note(const fs::path& destination, const std::string& id);
void write_note(const fs::path& destination, const std::string& id, const CheckNote& note);
fs::path note_of(const fs::path& destination, const std::string& id);

/// The snapshots at a destination, oldest first.
std::vector<std::string> ids_in(const fs::path& destination);

/// Whether the filesystem has symbolic links; FAT has none.
bool has_symlinks(int fd, const fs::path& path);

}  // namespace reef::backup::internal
