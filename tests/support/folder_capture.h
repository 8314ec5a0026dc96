#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "reef/backup/snapshot_store.h"
#include "reef/io/file.h"

namespace reef::test {

namespace fs = std::filesystem;

/// A file as it is now, for stores that are tested with folders on the drive.
class DiskContent : public backup::Content {
 public:
  explicit DiskContent(const fs::path& path)
      : path_(path), fd_(io::open_file(path, O_RDONLY)), size_(io::file_size(fd_.get(), path)) {}
  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    io::pread_exact(fd_.get(), into.data(), into.size(), offset, path_);
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    return data < 0 ? size_ : static_cast<std::uint64_t>(data);
  }
  int descriptor() const override { return fd_.get(); }
  backup::Counts finish() override { return {{"rows", size_}}; }

 private:
  fs::path path_;
  io::UniqueFd fd_;
  std::uint64_t size_;
};

/// Puts all of a folder into a sink, in the order that Sink asks for. Returns the paths of files whose content was
/// opened. The simplest capture there is: nobody writes meanwhile.
class FolderCapture {
 public:
  FolderCapture(fs::path root, backup::Sink& sink) : root_(std::move(root)), sink_(sink) {}

  std::vector<std::string> run() {
    visit("");
    return std::move(opened_);
  }

  static backup::Entry entry_of(const fs::path& root, const std::string& path) {
    const fs::path file = path.empty() ? root : root / path;
    struct stat status {};
    if (::lstat(file.c_str(), &status) != 0) throw std::runtime_error("lstat " + file.string());
    backup::Entry entry;
    entry.path = path;
    entry.mode = status.st_mode & 07777U;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
    if (S_ISDIR(status.st_mode)) {
      entry.type = backup::EntryType::folder;
    } else if (S_ISLNK(status.st_mode)) {
      entry.type = backup::EntryType::link;
      entry.link_target = fs::read_symlink(file);
    } else {
      entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
      entry.state = fmt::format("{} {} {}", status.st_ino, status.st_size, entry.modified_ns);
    }
    return entry;
  }

 private:
  void visit(const std::string& path) {
    backup::Entry entry = entry_of(root_, path);
    if (entry.type == backup::EntryType::file) return put_file(std::move(entry));
    sink_.put(entry, nullptr);
    if (entry.type != backup::EntryType::folder) return;
    std::vector<std::string> names;
    for (const auto& child : fs::directory_iterator(root_ / path)) names.push_back(child.path().filename());
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) visit(path.empty() ? name : path + '/' + name);
  }

  void put_file(backup::Entry entry) {
    struct stat status {};
    ::lstat((root_ / entry.path).c_str(), &status);
    if (const auto [first, is_new] = inodes_.emplace(status.st_ino, entry.path); !is_new) {
      entry.same_file_as = first->second;
      entry.state.clear();
      return sink_.put(entry, nullptr);
    }
    if (sink_.keep(entry)) return;
    opened_.push_back(entry.path);
    DiskContent content(root_ / entry.path);
    sink_.put(entry, &content);
  }

  fs::path root_;
  backup::Sink& sink_;
  std::map<ino_t, std::string> inodes_;
  std::vector<std::string> opened_;
};

}  // namespace reef::test
