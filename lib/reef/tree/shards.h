#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/core/error.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tree {

/// A folder, usually on a drive of its own, that holds stores of personas in the tree's place, <path>/personas/<id>,
/// and a part of the shared one, <path>/shared.
struct Shard {
  enum class State {
    present,
    fresh,    ///< listed for the first time; nothing was written to it yet
    missing,  ///< its drive is not mounted
  };
  std::string id;  ///< 16 hexadecimal digits, the same wherever it is mounted
  fs::path path;
  State state = State::present;
  bool listed = true;  ///< in storage.shards; one that is not is to be emptied
  std::string why;     ///< it is missing
};

/// A place for the store of a persona.
struct Place {
  enum class Kind {
    none,       ///< there is nothing of that name
    tree,       ///< a folder of the tree
    shard,      ///< `shard`
    elsewhere,  ///< behind a link that is none of ours
  };
  Kind kind = Kind::none;
  std::string shard;  ///< id
  fs::path folder;
  bool there = false;   ///< the folder exists
  bool relink = false;  ///< the shard is mounted elsewhere than the link says
};

/// The shards of a tree and which persona belongs where.
///
/// vectors/personas/<id> is the record of place: a folder, or a symbolic link into a shard. A persona belongs to the
/// shard of the highest weight, sha256(shard id, persona id): a shard more or less moves only its share of the
/// personas, and a mount point that is moved none (rendezvous_weight()).
class ShardMap {
 public:
  /// Reads storage.shards, vectors/shards.json and every shard.json; writes nothing. Throws Error{usage} for folders
  /// that cannot be shards of this tree, Error{corrupt} for a file that cannot be read.
  static ShardMap load(const Tree& tree, const Config& config);
  /// Throws Error{failed} when a shard's folder is, by now, not that of the shard: between a look at it and a move that
  /// takes hours a drive can go, and its mount point must not take what was meant for it.
  void require_mounted(const std::string& id) const;

  /// In the order of storage.shards, then those that are known and not listed.
  const std::vector<Shard>& shards() const { return shards_; }
  const Shard* find(std::string_view id) const;
  /// Whether storage.shards lists any.
  bool any_listed() const;

  Place place(const std::string& persona) const;
  /// Where its store belongs. Throws Error{usage} for a pin (personas.<id>.shard) that names no listed shard.
  Place wanted(const std::string& persona) const;
  bool is_pinned(const std::string& persona) const;

  /// Makes fresh shards this tree's own. The caller holds the lock of the tree's shards.
  void begin_fresh();
  /// Records where shards are mounted now, once all links say so.
  void record_paths();
  /// Gives a shard back that is not listed: it must hold nothing more.
  void forget(const std::string& id);

  static fs::path list_file(const Tree& tree) { return tree.root() / "vectors/shards.json"; }
  static fs::path lock_file(const Tree& tree) { return tree.root() / "vectors/.shards.lock"; }

 private:
  ShardMap(const Tree& tree, const Config& config) : tree_(&tree), config_(&config) {}
  void add_listed(const fs::path& path);
  void add_known();
  void check_folder(const fs::path& path) const;
  std::string recorded_at(const fs::path& path) const;
  std::string fresh_id(const fs::path& path) const;
  const Shard* pin(const std::string& persona) const;
  void write_list() const;

  const Tree* tree_;
  const Config* config_;
  std::string tree_id_;
  std::vector<Shard> shards_;
  std::vector<std::pair<std::string, fs::path>> recorded_;  ///< as in vectors/shards.json
};

/// Which folder a path leads to now; zeros where it leads nowhere.
std::pair<dev_t, ino_t> folder_identity(const fs::path& path);

/// Opens what lies in a scope's folder for reading, and once more when a move put another folder in its place
/// meanwhile: files of two places must not be taken for one store. Returns what `open` returns, a pointer.
template <typename Open>
auto opened_in_place(const fs::path& folder, Open open) {
  for (;;) {
    const auto before = folder_identity(folder);
    try {
      auto opened = open();
      if (folder_identity(folder) == before) return opened;
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted || folder_identity(folder) == before) throw;
    }
  }
}

}  // namespace reef::tree
