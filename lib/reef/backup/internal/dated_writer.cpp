#include "reef/backup/internal/dated_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "reef/backup/internal/dated_files.h"
#include "reef/backup/internal/folder_walk.h"
#include "reef/backup/internal/hashed_copy.h"
#include "reef/backup/internal/remove_tree.h"
#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

using io::UniqueFd;

constexpr unsigned kFolderMode = 0750;
/// Bytes that are written between two looks at the room that is left.
constexpr std::uint64_t kRoomBytes = std::uint64_t{64} << 20;

/// Where the snapshot before this one has what did not change.
class Previous {
 public:
  /// Of the newest snapshot whose list can be read; nothing where there is none.
  explicit Previous(const fs::path& destination) {
    std::vector<std::string> ids = ids_in(destination);
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
      try {
        read(destination, *id);
        return;
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt) throw;
        log_warn("snapshot {} is damaged, and nothing is taken over from it: {}", *id, error.what());
      }
    }
  }

  /// Its record of a file with the same content and all that the inode holds beside it; null where it has none.
  const TreeRecord* find(const Entry& entry) const {
    if (entry.type != EntryType::file || entry.state.empty() || !entry.same_file_as.empty()) return nullptr;
    const auto found = by_path_.find(entry.path);
    if (found == by_path_.end() || damaged_.contains(entry.path)) return nullptr;
    const Entry& other = records_[found->second].entry;
    const bool same = other.state == entry.state && other.mode == entry.mode && other.uid == entry.uid &&
                      other.gid == entry.gid && other.modified_ns == entry.modified_ns;
    return same ? &records_[found->second] : nullptr;
  }

  /// The folder of a record's file and its name there; -1 where the file is not as it was put: somebody wrote to it.
  std::pair<int, std::string> place(const TreeRecord& record) {
    const auto names = names_of(record.entry.path);
    const int folder = names ? walk_.parent_of(*names) : -1;
    struct stat status {};
    if (folder < 0 || ::fstatat(folder, names->back().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {-1, {}};
    const bool same = S_ISREG(status.st_mode) &&
                      static_cast<std::uint64_t>(status.st_size) == record.entry.size_bytes &&
                      is_near(status.st_mtim, record.entry.modified_ns);
    return same ? std::pair(folder, names->back()) : std::pair(-1, std::string());
  }

 private:
  /// As near as filesystems keep times.
  static bool is_near(const timespec& time, std::int64_t ns) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    return std::abs(time.tv_sec - ns / kSecond) <= 2;
  }

  void read(const fs::path& destination, const std::string& id) {
    records_ = read_records(destination / id);
    damaged_ = read_note(destination, id).paths;
    walk_ = FolderWalk(io::open_file(destination / id / kTreeFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (std::size_t i = 0; i < records_.size(); ++i) {
      const Entry& entry = records_[i].entry;
      if (entry.type == EntryType::file && entry.same_file_as.empty()) by_path_.emplace(entry.path, i);
    }
  }

  std::vector<TreeRecord> records_;
  std::unordered_map<std::string_view, std::size_t> by_path_;
  std::set<std::string> damaged_;
  FolderWalk walk_{UniqueFd()};
};

/// A folder that goes with all in it unless it gets its final name.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const fs::path& target) : path_(io::temporary_name(target)) {
    if (::mkdir(path_.c_str(), kFolderMode) != 0) throw_errno("create", io::shown(path_));
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    if (published_) return;
    try {
      remove_tree(path_);
    } catch (const Error& error) {
      log_warn("{}; the next run removes it", error.what());
    }
  }

  const fs::path& path() const { return path_; }
  void publish(const fs::path& as) {
    if (!io::rename_new(path_, as))
      throw Error(Errc::failed, fmt::format("{} is there already", io::shown(as)), "run the command again");
    published_ = true;
    io::sync_directory(as.parent_path());
  }

 private:
  fs::path path_;
  bool published_ = false;
};

class DatedWriter : public SnapshotWriter {
 public:
  DatedWriter(Destination destination, Time now)
      : destination_(std::move(destination)),
        previous_(destination_.folder()),
        temporary_(destination_.folder() / name(now)),
        fd_(io::open_file(temporary_.path(), O_RDONLY | O_DIRECTORY)),
        durability_(durability_of(fd_.get(), temporary_.path())),
        target_(temporary_.path() / kTreeFolder,
                {.write = [this](const Content& content, int fd, const fs::path& shown) {
                  digest_ = copy_hashed(content, fd, shown);
                }}) {}

  bool keep(const Entry& entry) override {
    const TreeRecord* record = previous_.find(entry);
    if (record == nullptr || !links_) return false;
    const auto [folder, name] = previous_.place(*record);
    if (folder < 0) return false;
    if (!target_.link(entry, folder, name)) return refused(entry);
    TreeRecord kept{entry, record->digest, record->counts};
    kept.entry.size_bytes = record->entry.size_bytes;  // a database's content is not what lstat(2) tells of its file
    add(std::move(kept));
    return true;
  }

  void put(const Entry& entry, Content* content) override {
    if (content != nullptr) require_room(content->size_bytes());
    Counting counting(content);
    if (entry.type != EntryType::link || has_symlinks()) target_.put(entry, content != nullptr ? &counting : nullptr);
    TreeRecord record{entry, {}, {}};
    if (content != nullptr) {
      record.entry.size_bytes = content->size_bytes();
      record.digest = digest_;
      record.counts = std::move(counting.counts);
      snapshot_.added_bytes += content->size_bytes();
    } else if (entry.type == EntryType::file) {
      const TreeRecord& other = records_.at(by_path_.at(entry.same_file_as));
      record.entry.size_bytes = other.entry.size_bytes;
      record.digest = other.digest;
    }
    add(std::move(record));
  }

  void note_changed(const std::string& path) override { snapshot_.changed.push_back(path); }
  void note_damaged(const std::string& path, const std::string& /*what*/) override {
    damaged_.push_back(path);
    snapshot_.damaged = snapshot_.taken;
  }

  Snapshot commit() override {
    target_.finish();
    const std::string list = to_mtree(records_);
    const std::string summary = to_text(DatedSummary{snapshot_, damaged_, io::sha256(list)});
    write(kTreeList, list);
    write(kSummary, summary);
    write(kSums, sums_of(records_, list, summary));
    if (durability_ == Durability::whole ? ::syncfs(fd_.get()) != 0 : ::fsync(fd_.get()) != 0)
      throw_errno("sync", io::shown(temporary_.path()));
    temporary_.publish(destination_.folder() / snapshot_.id);
    return snapshot_;
  }

 private:
  /// Passes on, and remembers what the content counted.
  struct Counting : Content {
    explicit Counting(Content* content) : inner(content) {}
    std::uint64_t size_bytes() const override { return inner->size_bytes(); }
    void read(std::uint64_t offset, std::span<std::uint8_t> into) const override { inner->read(offset, into); }
    std::uint64_t next_data(std::uint64_t offset) const override { return inner->next_data(offset); }
    int descriptor() const override { return inner->descriptor(); }
    Counts finish() override { return counts = inner->finish(); }

    Content* inner;
    Counts counts;
  };

  /// The snapshot's id, above that of all others.
  const std::string& name(Time now) {
    const std::vector<std::string> ids = ids_in(destination_.folder());
    snapshot_.taken = now;
    snapshot_.id = next_id(now, ids.empty() ? "" : ids.back());
    return snapshot_.id;
  }

  bool refused(const Entry& entry) {
    if (errno == EMLINK) return false;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
      throw_errno("link", io::shown(temporary_.path() / kTreeFolder / entry.path));
    log_warn("{} takes no hard links: each snapshot then needs the room of a whole copy",
             io::shown(destination_.folder()));
    links_ = false;
    return false;
  }

  /// FAT has none: where they lead is in the list alone.
  bool has_symlinks() {
    if (symlinks_) return *symlinks_;
    symlinks_ = backup::internal::has_symlinks(fd_.get(), temporary_.path());
    if (!*symlinks_)
      log_warn("{}: its filesystem has no symbolic links, so {} alone says where they lead",
               io::shown(destination_.folder()), kTreeList);
    return *symlinks_;
  }

  /// Looks before each large file, and now and then among small ones.
  void require_room(std::uint64_t bytes) {
    unchecked_ += bytes;
    if (unchecked_ < kRoomBytes && bytes < kRoomBytes) return;
    destination_.require_room(bytes);
    unchecked_ = 0;
  }

  void add(TreeRecord record) {
    if (record.entry.type == EntryType::file) {
      ++snapshot_.files;
      if (record.entry.same_file_as.empty()) snapshot_.size_bytes += record.entry.size_bytes;
      by_path_.emplace(record.entry.path, records_.size());
    }
    records_.push_back(std::move(record));
  }

  void write(const char* name, const std::string& text) const {
    const fs::path path = temporary_.path() / name;
    const UniqueFd fd = io::open_file(path, O_WRONLY | O_CREAT | O_EXCL);
    io::write_all(fd.get(), text, path);
    if (durability_ == Durability::each_file) io::sync_file(fd.get(), path);
  }

  Destination destination_;
  Snapshot snapshot_;
  std::vector<std::string> damaged_;  ///< in the tree
  Previous previous_;
  TemporaryFolder temporary_;
  UniqueFd fd_;  ///< opened before anything is written: syncfs(2) tells of failures since then
  Durability durability_;
  TargetFolder target_;
  io::Sha256Digest digest_{};  ///< of the file written last
  std::vector<TreeRecord> records_;
  std::unordered_map<std::string, std::size_t> by_path_;  ///< of files
  bool links_ = true;
  std::optional<bool> symlinks_;
  std::uint64_t unchecked_ = 0;
};

}  // namespace

std::unique_ptr<SnapshotWriter> write_dated(Destination destination, Time now) {
  remove_stale_trees(destination.folder());
  return std::make_unique<DatedWriter>(std::move(destination), now);
}

}  // namespace reef::backup::internal
