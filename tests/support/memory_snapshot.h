#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/io/file.h"

namespace reef::test {

/// A snapshot in memory, for tests of what is put into snapshots.
class MemorySnapshot : public backup::SnapshotWriter {
 public:
  struct File {
    backup::Entry entry;
    std::string bytes;  ///< of small files
    backup::Counts counts;
    std::uint64_t data_bytes = 0;  ///< that had to be read: what is no hole
  };

  explicit MemorySnapshot(const MemorySnapshot* previous = nullptr) : previous_(previous) {}

  /// Runs before the entry is put; and when half of a file's content was read.
  std::function<void(const std::string& path)> before_put = [](const std::string&) {};
  std::function<void(const std::string& path)> halfway = [](const std::string&) {};

  bool keep(const backup::Entry& entry) override {
    if (previous_ == nullptr || !previous_->has(entry.path)) return false;
    const File& other = previous_->at(entry.path);
    if (other.entry.state.empty() || other.entry.state != entry.state) return false;
    kept.insert(entry.path);
    order.push_back(entry.path);
    files_[entry.path] = other;
    return true;
  }

  void put(const backup::Entry& entry, backup::Content* content) override {
    before_put(entry.path);
    File file{entry, {}, {}, 0};
    if (content != nullptr) {
      read(*content, file);
      file.counts = content->finish();
    }
    order.push_back(entry.path);
    files_[entry.path] = std::move(file);
  }

  void note_changed(const std::string& path) override { changed.insert(path); }
  void note_damaged(const std::string& path, const std::string& what) override { damaged[path] = what; }
  backup::Snapshot commit() override { return {}; }

  bool has(const std::string& path) const { return files_.contains(path); }
  const File& at(const std::string& path) const { return files_.at(path); }
  std::uint64_t count(const std::string& path, const std::string& table) const {
    for (const auto& [name, rows] : at(path).counts)
      if (name == table) return rows;
    return UINT64_MAX;
  }
  /// Of all that was put.
  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const auto& [path, file] : files_) all.push_back(path);
    return all;
  }

  /// As a restore would: folders, links and files below `root`.
  void write_to(const std::filesystem::path& root) const {
    for (const std::string& path : order) {
      const File& file = files_.at(path);
      const std::filesystem::path to = path.empty() ? root : root / path;
      if (file.entry.type == backup::EntryType::folder)
        std::filesystem::create_directories(to);
      else if (file.entry.type == backup::EntryType::link)
        std::filesystem::create_symlink(file.entry.link_target, to);
      else if (!file.entry.same_file_as.empty())
        std::filesystem::create_hard_link(root / file.entry.same_file_as, to);
      else
        io::replace_file(to, file.bytes);
    }
  }

  std::vector<std::string> order;
  std::set<std::string> kept;
  std::set<std::string> changed;
  std::map<std::string, std::string> damaged;

 private:
  void read(const backup::Content& content, File& file) {
    constexpr std::uint64_t kPiece = 1 << 16;
    constexpr std::uint64_t kMostKept = 64 << 20;
    const std::uint64_t size = content.size_bytes();
    if (size <= kMostKept) file.bytes.assign(size, '\0');
    std::string piece;
    bool told = false;
    for (std::uint64_t at = content.next_data(0); at < size; at = content.next_data(at)) {
      piece.resize(std::min(kPiece, size - at));
      content.read(at, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()});
      if (size <= kMostKept) file.bytes.replace(at, piece.size(), piece);
      file.data_bytes += piece.size();
      at += piece.size();
      if (!told && at >= size / 2) halfway(file.entry.path);
      told |= at >= size / 2;
    }
  }

  const MemorySnapshot* previous_;
  std::map<std::string, File> files_;
};

}  // namespace reef::test
