#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reef/backup/destination.h"
#include "reef/backup/internal/pack_writer.h"
#include "reef/backup/internal/snapshot_folder.h"
#include "reef/backup/internal/store_file.h"
#include "reef/backup/internal/tree_before.h"
#include "reef/backup/snapshot_store.h"

namespace reef::backup::internal {

/// Makes one snapshot in a repository.
class TreeWriter : public SnapshotWriter {
 public:
  /// The destination is locked.
  TreeWriter(Destination destination, Time now, unsigned threads, Progress& progress);
  ~TreeWriter() override;

  bool keep(const Entry& entry) override;
  void put(const Entry& entry, Content* content) override;
  void note_changed(const std::string& path) override;
  void note_damaged(const std::string& path, const std::string& what) override;
  Snapshot commit() override;

 private:
  void find_before();
  std::uint32_t first_new_pack() const;
  bool is_damaged(const StoredContent& content);
  std::unique_ptr<FileBefore> before(const Entry& entry);
  void append(const Entry& entry, const Counts& counts, const StoredContent& content);
  void flush_node();
  NodeRef store_root();

  Destination destination_;
  SnapshotFolder snapshots_;
  Packs packs_;
  Checks checks_;
  std::vector<std::string> ids_;
  std::uint32_t next_pack_before_ = 1;
  TreeBefore before_;
  std::unique_ptr<PackWriter> writer_;
  std::unique_ptr<FileStorer> storer_;
  Progress& progress_;

  Snapshot snapshot_;
  std::vector<std::string> damaged_;
  std::string node_;  ///< entries that make up the next node
  std::uint32_t node_entries_ = 0;
  std::string node_path_;  ///< of the first of them
  std::vector<EntriesNode> root_;
};

}  // namespace reef::backup::internal
