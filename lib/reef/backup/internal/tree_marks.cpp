#include "reef/backup/internal/tree_marks.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

/// More than a pack can have: a damaged list must not cost all memory.
constexpr std::uint32_t kMostMarked = kMostPackBlocks;

}  // namespace

void TreeMarks::mark(const SnapshotFile& snapshot) {
  if (!mark_node(snapshot.root)) return;
  const std::string where = fmt::format("the tree of snapshot {}", snapshot.snapshot.id);
  std::vector<EntriesNode> nodes;
  try {
    nodes = read_root(packs_.read_node(snapshot.root), where);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    lost_(snapshot.root.at, "", error.what());
    return;
  }
  for (const EntriesNode& node : nodes) {
    check_interrupt();
    if (mark_node(node.node)) mark_entries(node, where);
  }
}

void TreeMarks::mark_entries(const EntriesNode& node, const std::string& where) {
  try {
    const std::string text = packs_.read_node(node.node);
    for (const std::string_view bytes : split_entries(text, where)) mark_file(read_entry(bytes, where), where);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    lost_(node.node.at, node.first_path, error.what());
  }
}

void TreeMarks::mark_file(const StoredEntry& stored, const std::string& where) {
  for (const BlockRun& run : stored.content.runs) mark_run(run);
  for (const NodeRef& list : stored.content.lists) {
    if (!mark_node(list)) continue;
    try {
      for (const BlockRun& run : read_list(packs_.read_node(list), where)) mark_run(run);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      lost_(list.at, stored.entry.path, error.what());
    }
  }
  if (file_ && stored.content.kind != StoredContent::Kind::none) file_(stored);
}

bool TreeMarks::mark_node(const NodeRef& node) {
  if (!nodes_.insert(key_of(node.at)).second) return false;
  mark_run({node.at.pack, node.at.number, 1});
  return true;
}

void TreeMarks::mark_run(const BlockRun& run) {
  if (run.pack == 0 || run.first >= kMostMarked || run.count > kMostMarked - run.first) return;
  std::vector<bool>& blocks = used_[run.pack];
  const std::size_t end = std::size_t{run.first} + run.count;
  if (blocks.size() < end) blocks.resize(std::max(end, blocks.size() + blocks.size() / 2));
  std::fill(blocks.begin() + run.first, blocks.begin() + static_cast<std::ptrdiff_t>(end), true);
}

bool TreeMarks::is_used(std::uint32_t pack, std::uint32_t block) const {
  const auto blocks = used_.find(pack);
  return blocks != used_.end() && block < blocks->second.size() && blocks->second[block];
}

}  // namespace reef::backup::internal
