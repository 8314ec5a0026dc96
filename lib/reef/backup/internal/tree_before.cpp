#include "reef/backup/internal/tree_before.h"

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

constexpr std::string_view kWhere = "the tree of the newest snapshot";

}  // namespace

TreeBefore::TreeBefore(Packs& packs, const SnapshotFile& snapshot, const Checks& checks)
    : changed_(snapshot.snapshot.changed.begin(), snapshot.snapshot.changed.end()) {
  changed_.insert(snapshot.damaged.begin(), snapshot.damaged.end());
  std::vector<EntriesNode> nodes;
  try {
    if (checks.is_bad(snapshot.root.at)) return;
    nodes = read_root(packs.read_node(snapshot.root), kWhere);
    root_ = snapshot.root;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return;  // verify() tells of it; all is stored anew
  }
  nodes_.reserve(nodes.size());
  texts_.reserve(nodes.size());  // so that no text moves, and with it what points into it
  for (const EntriesNode& node : nodes) {
    check_interrupt();
    try {
      if (checks.is_bad(node.node.at)) {
        root_ = {};
        continue;
      }
      texts_.push_back(packs.read_node(node.node));
      for (const std::string_view bytes : split_entries(texts_.back(), kWhere)) entries_.emplace(path_in(bytes), bytes);
      nodes_.push_back(node);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      root_ = {};  // it names what cannot be read: not to be used again
    }
  }
  std::sort(nodes_.begin(), nodes_.end(),
            [](const EntriesNode& a, const EntriesNode& b) { return a.node.name < b.node.name; });
}

std::optional<StoredEntry> TreeBefore::find(const std::string& path) const {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return std::nullopt;
  try {
    return read_entry(found->second, kWhere);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<NodeRef> TreeBefore::node(const io::Sha256Digest& name) const {
  const auto found =
      std::lower_bound(nodes_.begin(), nodes_.end(), name,
                       [](const EntriesNode& node, const io::Sha256Digest& wanted) { return node.node.name < wanted; });
  if (found == nodes_.end() || found->node.name != name) return std::nullopt;
  return found->node;
}

}  // namespace reef::backup::internal
