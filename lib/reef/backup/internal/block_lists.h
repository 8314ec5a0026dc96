#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reef/backup/internal/block.h"
#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/tree_nodes.h"

namespace reef::backup::internal {

/// The blocks of a stored file, by their numbers in it. From any thread once it is made.
class BlockList {
 public:
  BlockList() = default;
  /// Reads the lists that `content` refers to. `where` names the file in messages. Throws Error{corrupt} where a list
  /// is damaged or tells of blocks of a file of another size.
  BlockList(Packs& packs, const StoredContent& content, std::uint64_t size, const std::string& where);

  std::uint64_t size() const { return size_; }
  std::uint64_t blocks() const { return blocks_of(size_); }
  /// How many bytes the block must have.
  std::uint32_t bytes_of(std::uint64_t block) const;

  /// Runs from block `first` on, `count` blocks in all.
  std::vector<BlockRun> runs(std::uint64_t first, std::uint64_t count) const;
  /// The first block from `block` on that is stored; blocks() where all are zero.
  std::uint64_t next_stored(std::uint64_t block) const;

 private:
  std::size_t run_of(std::uint64_t block) const;

  std::uint64_t size_ = 0;
  std::vector<BlockRun> runs_;
  std::vector<std::uint64_t> starts_;  ///< number in the file of each run's first block
};

/// Makes what is stored of a file: takes its blocks in their order.
class ContentBuilder {
 public:
  void add(const BlockRef& block, const io::Sha256Digest& name);
  void add_zeros(std::uint64_t count);
  /// Lists that `before` has as well are not stored again; the others are by `store`.
  template <typename Store>
  StoredContent finish(const StoredContent* before, Store store) {
    StoredContent content;
    content.digest = names_.finish();
    if (runs_.size() <= kMostRunsInEntry) {
      content.kind = StoredContent::Kind::runs;
      content.runs = std::move(runs_);
      return content;
    }
    content.kind = StoredContent::Kind::lists;
    for (const std::vector<BlockRun>& list : split()) {
      const std::string bytes = to_bytes(list);
      const std::size_t i = content.lists.size();
      const bool known = before != nullptr && i < before->lists.size() && before->lists[i].name == io::sha256(bytes);
      content.lists.push_back(known ? before->lists[i] : store(bytes));
    }
    return content;
  }

 private:
  /// The runs of kListBlocks blocks each.
  std::vector<std::vector<BlockRun>> split() const;

  std::vector<BlockRun> runs_;
  io::Sha256 names_;
};

}  // namespace reef::backup::internal
