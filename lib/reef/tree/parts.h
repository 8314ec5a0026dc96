#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/tree/tree.h"

namespace reef::tree {

/// What of a scope's store lies in one folder: all of it, or, of shared knowledge that is split over shards, the
/// documents that belong to one of them.
struct Part {
  std::string shard;  ///< id; empty: all of the store
  fs::path folder;    ///< the scope's own, or vectors/shared/parts/<shard>, a link to <shard>/shared
};

/// Whether the shared scope is split: vectors/shared then holds the writers' lock and links to the parts alone, and is
/// replaced as a whole by another splitting. One look at the disk; none for a persona.
bool is_split(const Tree& tree, const Scope& scope);
/// Ascending by shard; of a scope that is not split its own folder. Parts that are out of reach are among them, and
/// those whose links are lost, unless the list of parts is damaged, too. Throws Error{failed} when the
/// folder cannot be listed: a part less would be an answer that lacks something.
std::vector<Part> parts_of(const Tree& tree, const Scope& scope);
/// vectors/shared/parts.json: the parts of a split scope, so that one whose link is lost is missed and found again.
struct PartList {
  std::string split;  ///< 16 hexadecimal digits of this splitting alone, which each part's mark repeats
  std::vector<std::pair<std::string, std::string>> folders;  ///< shard and name of the part's folder on it
};
/// Empty when there is none. Throws Error{corrupt} for one that cannot be read.
PartList part_list(const Tree& tree);
/// Marks the parts as those of one new splitting, and writes the list into the scope's `folder`.
void write_part_list(const fs::path& folder, const std::vector<Part>& parts);
/// Whether the link to a part, or a folder in its place, is gone, where the list names one.
bool is_link_lost(const Part& part);
/// Whether a folder is a part of that splitting.
bool is_part_of(const fs::path& folder, const std::string& split);
bool is_in_reach(const Part& part);
/// "shared@<shard>" for a part, else the scope's name.
std::string part_name(const Scope& scope, const Part& part);

/// Where to put what `key` names: the shard of the highest weight, so that a shard more or less moves only its share
/// (rendezvous hashing; Thaler and Ravishankar, 1998).
std::uint64_t rendezvous_weight(std::string_view shard, std::string_view key);
/// Index of the part that a document belongs to.
std::size_t part_of_document(const std::vector<Part>& parts, std::string_view document);

/// Where a scope's store is while its own name is not there, or an empty folder: under the hidden name .<name>.kept-…,
/// since a move that takes two renames was ended between them. Empty when there is no such folder.
fs::path kept_store(const Tree& tree, const Scope& scope);

/// A store, or a part of one, that is out of reach: what to say about it.
struct MissingStore {
  std::string scope;  ///< part_name()
  std::string shard;  ///< id; empty when the tree does not know it
  std::string folder;
  std::string what;
  std::string hint;
};

/// A store whose folder is a link that leads nowhere, or is at kept_store(); parts of which the same is true.
std::vector<MissingStore> missing_stores(const Tree& tree, const Scope& scope);
/// Throws Error{not_found} for the first of them.
void require_in_reach(const Tree& tree, const Scope& scope);

}  // namespace reef::tree
