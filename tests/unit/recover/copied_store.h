#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "recorded_tree.h"
#include "reef/backup/snapshot_store.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::test {

/// Snapshots that are copies of a tree, in a folder: what a real store promises, as simply as it can be.
class CopiedStore : public backup::SnapshotStore {
 public:
  explicit CopiedStore(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directory(folder_);
  }

  void take(const RecordedTree& from, const std::string& id, const std::string& taken) {
    Held held;
    held.snapshot.id = id;
    held.snapshot.taken = parse_time(taken);
    held.entries = from.entries();
    for (const auto& [entry, counts] : held.entries) held.snapshot.size_bytes += entry.size_bytes;
    std::filesystem::copy(from.tree.root(), folder_ / id,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
    held_[id] = std::move(held);
  }
  void mark_damaged(const std::string& id) { held_.at(id).snapshot.damaged = Time{}; }
  /// Reading this file then finds it damaged.
  void damage(const std::string& path) { damaged_path_ = path; }

  std::vector<backup::Snapshot> list() override {
    std::vector<backup::Snapshot> all;
    for (const auto& [id, held] : held_) all.push_back(held.snapshot);
    return all;
  }
  std::unique_ptr<backup::SnapshotWriter> begin(Time, Progress&) override { throw Error(Errc::failed, "no writer"); }
  void read(const std::string& id, const backup::Selection& selection, backup::Sink& sink, Progress&,
            const std::function<void(const std::string&, const std::string&)>& on_damage = {}) override {
    for (const auto& [entry, counts] : held_.at(id).entries) {
      bool above = false;
      for (const std::string& path : selection.paths) above = above || path.starts_with(entry.path + "/");
      if (!selection.covers(entry.path) && !(above && entry.type == backup::EntryType::folder)) continue;
      if (entry.path == damaged_path_) {
        if (!on_damage) throw Error(Errc::corrupt, entry.path + " is damaged");
        on_damage(entry.path, "is damaged");
        continue;
      }
      if (entry.type != backup::EntryType::file) {
        backup::Entry link = entry;
        if (entry.type == backup::EntryType::link)
          link.link_target = std::filesystem::read_symlink(folder_ / id / entry.path).string();
        sink.put(link, nullptr);
        continue;
      }
      if (!entry.same_file_as.empty() && selection.covers(entry.same_file_as)) {
        sink.put(entry, nullptr);
        continue;
      }
      FileContent content(folder_ / id / entry.path);
      sink.put(entry, &content);
    }
  }
  std::vector<std::pair<backup::Entry, backup::Counts>> entries(const std::string& id) override {
    const auto found = held_.find(id);
    if (found == held_.end()) throw Error(Errc::not_found, "no snapshot " + id);
    return found->second.entries;
  }
  backup::VerifyReport verify(const backup::VerifyOptions&, Progress&) override { return {}; }
  backup::PruneReport prune(const backup::Retention&, Time, bool) override { return {}; }

 private:
  class FileContent : public backup::Content {
   public:
    explicit FileContent(const std::filesystem::path& path) : path_(path), fd_(io::open_file(path, O_RDONLY)) {}
    std::uint64_t size_bytes() const override { return io::file_size(fd_.get(), path_); }
    void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
      io::pread_exact(fd_.get(), into.data(), into.size(), offset, path_);
    }

   private:
    std::filesystem::path path_;
    io::UniqueFd fd_;
  };
  struct Held {
    backup::Snapshot snapshot;
    recover::Entries entries;
  };

  std::filesystem::path folder_;
  std::map<std::string, Held> held_;
  std::string damaged_path_;
};

}  // namespace reef::test
