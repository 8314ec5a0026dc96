#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/backup/snapshot_store.h"
#include "reef/io/checksum.h"
#include "reef/io/object_store.h"

namespace reef::backup::internal {

/// A file of a model, which lies beside the archives.
struct ModelFile {
  Entry entry;  ///< with same_file_as where it is a hard link to an earlier one of them
  io::Sha256Digest digest{};
};

/// system-<id>.json: one line of sealed JSON (sealed.h): {"format":"reef archive","version":1,"snapshot","taken",
/// "archive":{"key","bytes","sha256"},"files","size_bytes","added_bytes","changed":[path],"damaged":[path],"models":[{"path","sha256",
/// "bytes","mode","uid","gid","modified_ns","same_file_as"}],"xxh3"}. Paths are escaped as tree_record.h has them.
struct ArchiveDescription {
  Snapshot snapshot;
  std::string key;  ///< of the archive
  std::uint64_t bytes = 0;
  io::Sha256Digest sha256{};
  std::vector<ModelFile> models;
  std::vector<std::string> damaged;  ///< files that were damaged in the tree; absent where there are none

  bool is_encrypted() const { return key.ends_with(".age"); }
};

/// system-<id>.checked.json: what verify found, sealed as well: {"format":"reef check of an archive","version":1,
/// "verified","damaged","models":[sha256],"xxh3"}.
struct ArchiveNote {
  std::optional<Time> verified;
  std::optional<Time> damaged;
  std::set<std::string> models;  ///< objects that are damaged: the next backup that has one stores it anew
};

std::string archive_key(const std::string& id, bool is_encrypted);
std::string description_key(const std::string& id);
std::string note_key(const std::string& id);
std::string model_key(const io::Sha256Digest& digest);
inline constexpr std::string_view kModels = "models/";

/// The ids that names of objects speak of, ascending, and those of them that have a description.
struct ArchiveIds {
  std::set<std::string> all;
  std::vector<std::string> described;
};
ArchiveIds ids_of(const std::vector<io::StoredObject>& objects);

void put_description(io::ObjectStore& store, const ArchiveDescription& description);
/// Throws Error{not_found} where there is none, Error{corrupt} for a damaged one.
ArchiveDescription get_description(io::ObjectStore& store, const std::string& id);
/// Nothing where there is none, or it is damaged itself.
ArchiveNote get_note(io::ObjectStore& store, const std::string& id);
void put_note(io::ObjectStore& store, const std::string& id, const ArchiveNote& note);

/// In an archive, the models as sha256sum writes and checks them.
inline constexpr const char* kModelListing = "models/.sha256sums";
std::string model_listing(const std::vector<ModelFile>& models);

}  // namespace reef::backup::internal
