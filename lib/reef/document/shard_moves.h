#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/config.h"
#include "reef/tree/parts.h"
#include "reef/tree/shards.h"
#include "reef/tree/tree.h"

namespace reef::document {

/// A shard, or the tree itself (whose id is empty), and what it holds.
struct ShardRow {
  std::string id;
  std::string path;
  std::string state;  ///< "present", "new", "missing", "leaving": not listed any more
  std::string why;    ///< it is missing
  std::uint64_t free_bytes = 0;
  std::uint64_t personas = 0;
  std::uint64_t vectors = 0;  ///< of personas
  std::uint64_t bytes = 0;
  std::uint64_t shared_vectors = 0;
  std::uint64_t shared_bytes = 0;
};

struct ShardPersona {
  std::string persona;
  std::string place;   ///< a shard's id, "tree", "elsewhere" or "none"
  std::string wanted;  ///< a shard's id or "tree"
  std::string folder;  ///< of its store
  bool in_reach = true;
  bool pinned = false;
  std::uint64_t vectors = 0;
  std::uint64_t bytes = 0;
};

struct ShardReport {
  std::string root;
  std::vector<ShardRow> shards;
  std::vector<ShardPersona> personas;
};

/// Which shards there are and where the store of every persona is.
ShardReport shard_report(const tree::Tree& tree, const tree::Config& config);

struct ShardMove {
  std::string persona;   ///< empty: the shared knowledge, or a part of it
  std::string from, to;  ///< a shard's id or "tree"
  std::filesystem::path from_folder, to_folder;
  std::uint64_t bytes = 0;
  bool relink = false;  ///< only the link is out of date
};

/// The shared knowledge is brought together, or split over these shards; or both at once, from these to those.
struct SharedSplit {
  std::vector<std::string> from, to;  ///< ids, ascending; empty: whole, in the tree
  std::uint64_t bytes = 0;
};

/// What an ended run left of a move.
struct ShardLeftover {
  std::string persona;  ///< as in ShardMove
  std::filesystem::path path;
};

/// A persona whose move has to wait, or failed, and why.
struct UnmovedPersona {
  std::string persona;  ///< as in ShardMove
  std::string why;
  std::string hint;
};

struct Shortfall {
  std::string shard;
  std::string path;
  std::uint64_t needed_bytes = 0;
  std::uint64_t free_bytes = 0;
};

struct ShardPlan {
  std::string root;
  bool applied = false;
  std::vector<ShardMove> moves;          ///< with `applied`: those that were made
  std::optional<SharedSplit> split;      ///< likewise
  std::vector<ShardLeftover> leftovers;  ///< with `applied`: those that were removed
  std::vector<UnmovedPersona> unmoved;
  std::vector<Shortfall> shortfalls;  ///< none with `applied`
};

struct ShardOptions {
  std::optional<std::string> persona;  ///< only this one
  unsigned threads = 1;                ///< for the indexes of parts
  std::chrono::milliseconds wait{0};
};

/// The moves that bring every store to where it belongs. Writes nothing. Throws what tree::ShardMap::load() throws.
ShardPlan plan_shards(const tree::Tree& tree, const tree::Config& config, const ShardOptions& options);

/// Makes them: each store is copied beside its new place, compared with the old one, renamed, published by one rename
/// of vectors/personas/<id>, and only then removed from its old place. Queries go on and see the old or the new one.
/// Ended anywhere, the store is whole where the link says, and the next run removes what is left.
///
/// With two shards or more the shared knowledge is split over all of them, document by document; with fewer it is whole
/// and in the tree. The parts are made anew beside the present ones, compared with them, and put in place at once.
///
/// Throws Error{failed} before anything is moved when a shard is too small, Error{locked} when another run moves
/// stores. A persona that cannot be moved is named in `unmoved`, and the others are moved; when it is the only one its
/// error is thrown.
ShardPlan apply_shards(const tree::Tree& tree, const tree::Config& config, const ShardOptions& options,
                       Progress& progress);

std::string to_text(const ShardReport& report);
std::string to_json(const ShardReport& report);
std::string to_text(const ShardPlan& plan);
std::string to_json(const ShardPlan& plan);

}  // namespace reef::document
