#include "reef/document/internal/shared_split.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/document/internal/document_copy.h"
#include "reef/document/internal/shard_publish.h"
#include "reef/document/internal/shard_survey.h"
#include "reef/document/internal/sources.h"
#include "reef/document/internal/store_copy.h"
#include "reef/document/stores.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::document::internal {
namespace {

namespace fs = std::filesystem;
const tree::Scope kScope = tree::Scope::shared();

/// Where the links lead: the folders themselves, which stay when the links go. A part in a link's place goes with
/// vectors/shared.
std::vector<fs::path> folders_of(const std::vector<tree::Part>& parts) {
  std::vector<fs::path> folders;
  for (const tree::Part& part : parts)
    if (!part.shard.empty() && fs::is_symlink(part.folder)) folders.push_back(fs::canonical(part.folder));
  return folders;
}

bool is_read_only(const fs::path& folder) { return ::access(folder.c_str(), W_OK) != 0 && errno == EROFS; }

/// Folders that are being made, removed again unless the shared knowledge leads to them.
class Staged {
 public:
  explicit Staged(const tree::Tree& tree) : tree_(tree) {}
  Staged(const Staged&) = delete;
  Staged& operator=(const Staged&) = delete;
  ~Staged() {
    for (const fs::path& folder : folders_) {
      try {
        if (!is_in_place(folder)) remove_store(folder, kSharedName);
      } catch (const std::exception& error) {
        log_step("{}", error.what());  // the next run removes it
      }
    }
  }
  void add(fs::path folder) { folders_.push_back(std::move(folder)); }
  void rename(const fs::path& from, const fs::path& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("rename", io::shown(to));
    std::replace(folders_.begin(), folders_.end(), from, to);
    io::sync_directory(to.parent_path());
  }

 private:
  bool is_in_place(const fs::path& folder) const {
    const auto identity = tree::folder_identity(folder);
    if (identity == std::pair<dev_t, ino_t>{} || identity == tree::folder_identity(tree_.vectors(kScope))) return true;
    const auto parts = tree::parts_of(tree_, kScope);
    return std::any_of(parts.begin(), parts.end(),
                       [&](const tree::Part& part) { return tree::folder_identity(part.folder) == identity; });
  }

  const tree::Tree& tree_;
  std::vector<fs::path> folders_;
};

class Split {
 public:
  Split(const tree::Tree& tree, const tree::ShardMap& map, const SharedSplit& split, const ShardOptions& options,
        Progress& progress)
      : tree_(tree), map_(map), split_(split), options_(options), progress_(progress), staged_(tree) {}

  void run() {
    const auto old = tree::parts_of(tree_, kScope);
    const std::vector<fs::path> old_folders = folders_of(old);
    // A failing drive is often one that the kernel lets nobody write to any more: what is there can leave all the same.
    if (std::none_of(old.begin(), old.end(), [](const tree::Part& part) { return is_read_only(part.folder); })) {
      // What a killed writer left, and a store of an older version.
      Stores present(tree_, kScope, options_.wait);
      present.remove_unfinished();
    }
    const io::LockFile lock(tree_.vectors(kScope) / ".lock", options_.wait);
    require_targets();
    stage();
    copy(old);
    check_interrupt();
    require_targets();
    publish(old_folders);
  }

 private:
  void require_targets() const {
    for (const std::string& id : split_.to) map_.require_mounted(id);
  }

  void stage() {
    for (const std::string& id : split_.to) {
      free_name(map_.find(id)->path);  // told before hours of copying, not after
      parts_.push_back({id, folder_on(id)});
    }
    if (split_.to.empty()) parts_.push_back({"", moving_name(tree_.vectors(kScope).parent_path(), kSharedName)});
    std::map<dev_t, std::uint64_t> needed;
    for (const tree::Part& part : parts_) {
      tree::make_folders(part.folder);
      staged_.add(part.folder);
      needed[tree::folder_identity(part.folder).first] += split_.bytes / parts_.size();
    }
    for (const tree::Part& part : parts_) {
      const std::uint64_t bytes = needed[tree::folder_identity(part.folder).first];
      if (const auto free = free_bytes(part.folder); free < bytes)
        throw Error(Errc::failed,
                    fmt::format("the shared knowledge needs {}, {} has {} free", format_size(bytes),
                                io::shown(part.folder.parent_path()), format_size(free)),
                    "free space there, or list another shard");
    }
  }

  fs::path folder_on(const std::string& id) const { return moving_name(map_.find(id)->path, kSharedName); }

  void copy(const std::vector<tree::Part>& old) {
    std::vector<std::unique_ptr<Snapshot>> from;
    std::int64_t last_chunk = 0;
    std::uint64_t chunks = 0;
    vector::StoreState indexed;
    for (const tree::Part& part : old) {
      from.push_back(std::make_unique<Snapshot>(part.folder, kScope));
      auto last = from.back()->database().prepare("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'");
      if (last.step()) last_chunk = std::max(last_chunk, last.integer(0));
      chunks += static_cast<std::uint64_t>(from.back()->map().rows(false) + from.back()->map().rows(true));
      const auto& state = from.back()->vectors().state();
      if (state.rows_indexed > indexed.rows_indexed) indexed = state;
    }
    constexpr std::uint64_t kPasses = 3;  // written, and read on both sides
    progress_.begin(split_.to.empty() ? "joining shared knowledge" : "splitting shared knowledge", kPasses * chunks,
                    ProgressUnit::items);
    {
      std::vector<std::unique_ptr<Store>> stores;
      for (const tree::Part& part : parts_)
        stores.push_back(std::make_unique<Store>(part.folder, kScope, options_.wait));
      copy_documents(from, stores, parts_, progress_);
      for (std::size_t i = 0; i < stores.size(); ++i) {
        Store& store = *stores[i];
        store.number_chunks_after(last_chunk);
        store.finish_run();
        if (store.rebuild_is_due() || (indexed.rows_indexed > 0 && store.vectors().state().rows_total > 0))
          try_rebuild_like(store, indexed, options_.threads, progress_, tree::part_name(kScope, parts_[i]),
                           "it has no index");
      }
    }
    compare(from);
    progress_.end();
  }

  void compare(const std::vector<std::unique_ptr<Snapshot>>& from) {
    StoreSum present, made;
    for (const auto& snapshot : from) add_to_sum(present, *snapshot, progress_);
    for (const tree::Part& part : parts_) {
      verify_copy(part.folder);
      Snapshot snapshot(part.folder, kScope);
      add_to_sum(made, snapshot, progress_);
    }
    if (present == made) return;
    throw Error(
        Errc::failed,
        fmt::format("of {} documents with {} chunks and {} vectors, {} with {} and {} were copied, or others",
                    present.documents, present.chunks, present.vectors, made.documents, made.chunks, made.vectors),
        "nothing was changed; 'reef-index verify' tells whether a store is damaged, SMART values whether a "
        "drive is failing");
  }

  void publish(const std::vector<fs::path>& old_folders) {
    const fs::path own = tree_.vectors(kScope);
    for (const fs::path& folder : old_folders)
      if (!is_read_only(folder)) mark_moving(folder);
    fs::path fresh = parts_.front().folder;
    if (!split_.to.empty()) {
      fresh = moving_name(own.parent_path(), kSharedName);
      staged_.add(fresh);
      tree::make_folders(fresh / "parts");
      for (tree::Part& part : parts_) {
        const fs::path name = free_name(part.folder.parent_path());
        mark_moving(part.folder);
        staged_.rename(part.folder, name);
        if (::symlink(name.c_str(), (fresh / "parts" / part.shard).c_str()) != 0)
          throw_errno("link", io::shown(fresh / "parts" / part.shard));
        part.folder = name;
      }
      io::sync_directory(fresh / "parts");
      tree::write_part_list(fresh, parts_);
    }
    // Whoever looks at it before its first writer comes can keep writers out.
    io::open_file(fresh / ".lock", O_RDWR | O_CREAT);
    io::sync_directory(fresh);
    remove_store(put_in_place(fresh, own, kSharedName), kSharedName);
    for (const fs::path& folder : old_folders) {
      if (is_read_only(folder))
        log_warn("{} cannot be removed: its filesystem is read-only; nothing leads to it any more", io::shown(folder));
      else
        remove_store(folder, kSharedName);
    }
    for (const tree::Part& part : tree::parts_of(tree_, kScope)) unmark(part.folder);
  }

  static fs::path free_name(const fs::path& shard) {
    std::error_code ignored;
    for (const char* const name : kPartNames)
      if (!fs::exists(fs::symlink_status(shard / name, ignored))) return shard / name;
    throw Error(Errc::failed, fmt::format("{} and {} are in the way", io::shown(shard / kPartNames[0]), kPartNames[1]),
                "one is of an ended run or not reef's: move away what 'reef-index shard show' does not name");
  }

  const tree::Tree& tree_;
  const tree::ShardMap& map_;
  const SharedSplit& split_;
  const ShardOptions& options_;
  Progress& progress_;
  Staged staged_;
  std::vector<tree::Part> parts_;  ///< that are made
};

}  // namespace

void apply_split(const tree::Tree& tree, const tree::ShardMap& map, const SharedSplit& split,
                 const ShardOptions& options, Progress& progress) {
  Split(tree, map, split, options, progress).run();
}

}  // namespace reef::document::internal
