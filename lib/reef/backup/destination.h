#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "reef/io/file.h"

namespace reef::backup {

namespace fs = std::filesystem;

/// In the folder that a tier's snapshots go to. Without it an empty mount point looks like a destination whose
/// snapshots are all gone, and gets filled in their stead.
///
/// One line of JSON: {"format":"reef backup destination","version":1,"tier":2,"id":"<16 hex digits>",
/// "host":"<name>","tree":"<root>","made":"<RFC 3339>","xxh3":"<of all before this member's comma>"}
inline constexpr const char* kDestinationMarker = ".reef-backup";
inline constexpr const char* kDestinationLock = ".lock";

struct DestinationOptions {
  fs::path tree;         ///< root of the tree that is backed up: a destination in it would back itself up
  std::string known_id;  ///< what the tree's ledger has for this tier; empty: it never had a destination
  /// Takes an empty folder though the tree knows another one, a folder of an id that it does not know, and one whose
  /// marker is damaged: the operator says that it is a new drive, or that the tree forgot.
  bool adopt = false;
  std::chrono::milliseconds wait{0};  ///< for another run to end
};

/// A folder that one tier's snapshots go to, each with its own marker and lock.
class Destination {
 public:
  /// Takes the lock for as long as the object lives (Error{locked} naming the holder) and checks the marker. A folder
  /// with nothing in it but lost+found is marked, unless the tree knows another one; all others without a marker, with
  /// the marker of another tier, of an id that is not the known one, or, where none is known, of another host or tree
  /// are refused: Error{failed}, with nothing written. Symbolic links and folders of the tree are Error{usage}. A
  /// folder that is not there is Error{not_found}, and never made: it may be where a drive is to be mounted.
  static Destination open_for_writing(const fs::path& folder, int tier, const DestinationOptions& options);

  /// Needs no lock and no right to write. A damaged marker does not keep anybody from their snapshots: fault() says
  /// what is wrong with it. Error{not_found} where there is no folder, or no marker in it; Error{failed} where it is
  /// another tier's.
  static Destination open_for_reading(const fs::path& folder, int tier);

  const fs::path& folder() const { return folder_; }
  int tier() const { return tier_; }
  const std::string& id() const { return id_; }        ///< empty where the marker is damaged
  const std::string& fault() const { return fault_; }  ///< of the marker; empty: none
  bool is_new() const { return new_; }                 ///< its marker was made by this run
  bool is_locked() const { return lock_ != nullptr; }

  /// Bytes that may be written before the reserve is touched: 1 % of the filesystem, at most 1 GiB, stay free, so that
  /// notes and locks can be written, and so that a source on the same filesystem is not stopped by its own backups.
  std::uint64_t free_bytes() const;
  /// Throws Error{failed} where fewer than `bytes` are free. Nothing that deletes calls it.
  void require_room(std::uint64_t bytes) const;

  /// Whether a tree is on the same filesystem: one broken drive then takes both. Says nothing of two partitions of one
  /// drive, nor of subvolumes.
  bool is_same_filesystem(const fs::path& root) const;

 private:
  Destination(fs::path folder, int tier) : folder_(std::move(folder)), tier_(tier) {}

  fs::path folder_;
  int tier_;
  std::string id_;
  std::string fault_;
  bool new_ = false;
  std::unique_ptr<io::LockFile> lock_;
};

/// How a filesystem is asked to make what was written durable.
enum class Durability {
  whole,     ///< syncfs(2) once, which waits for all of it and reports its failures
  each_file  ///< fsync(2) of each file and folder: networks and FUSE, where syncfs(2) asks nobody, and REEF_IO=plain
};
Durability durability_of(int fd, const fs::path& path);

}  // namespace reef::backup
