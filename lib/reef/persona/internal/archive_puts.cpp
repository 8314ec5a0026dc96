#include "reef/persona/internal/archive_puts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/io/sqlite_capture.h"

namespace reef::persona::internal {
namespace {

constexpr std::uint32_t kFileMode = 0640, kFolderMode = 02750;
constexpr int kMostTries = 5;

std::int64_t nanoseconds_of(const timespec& time) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return time.tv_sec * kSecond + time.tv_nsec;
}

std::int64_t now_ns() { return std::chrono::duration_cast<std::chrono::nanoseconds>(now().time_since_epoch()).count(); }

class TextContent : public backup::Content {
 public:
  explicit TextContent(std::string_view text) : text_(text) {}
  std::uint64_t size_bytes() const override { return text_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    std::memcpy(into.data(), text_.data() + offset, into.size());
  }

 private:
  std::string_view text_;
};

/// A file that nobody changes, or that grows behind what is read.
class FileContent : public backup::Content {
 public:
  explicit FileContent(const fs::path& file)
      : file_(file), fd_(io::open_file(file, O_RDONLY | O_CLOEXEC)), size_(io::file_size(fd_.get(), file)) {}
  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    io::pread_exact(fd_.get(), into.data(), into.size(), offset, file_);
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    return data < 0 ? (errno == ENXIO ? size_ : offset) : std::min(static_cast<std::uint64_t>(data), size_);
  }
  int descriptor() const override { return fd_.get(); }

 private:
  fs::path file_;
  io::UniqueFd fd_;
  std::uint64_t size_;
};

class DatabaseContent : public backup::Content {
 public:
  explicit DatabaseContent(const fs::path& file) : capture_(file) {}
  std::uint64_t size_bytes() const override { return capture_.size_bytes(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override { capture_.read(offset, into); }
  backup::Counts finish() override {
    if (!capture_.still_holds()) throw backup::Changed{};
    return {};
  }

 private:
  io::SqliteCapture capture_;
};

backup::Entry entry_of(const std::string& path, const struct stat& status) {
  backup::Entry entry;
  entry.path = path;
  entry.mode = status.st_mode & 07777U;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.modified_ns = nanoseconds_of(status.st_mtim);
  return entry;
}

struct stat status_of(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) throw_errno("stat", io::shown(file));
  return status;
}

bool is_left_out(const std::string& name) {
  return name == ".lock" || name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal") ||
         io::is_temporary_name(name);
}

}  // namespace

void ArchivePuts::put_folders_above(const std::string& path) {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (!folders_.insert(folder).second) continue;
    backup::Entry entry;
    entry.path = folder;
    entry.type = backup::EntryType::folder;
    entry.mode = kFolderMode;
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    entry.modified_ns = now_ns();
    sink_.put(entry, nullptr);
  }
}

void ArchivePuts::put_content(backup::Entry entry, backup::Content& content) {
  entry.size_bytes = content.size_bytes();
  sink_.put(entry, &content);
  ++files_;
  bytes_ += entry.size_bytes;
}

void ArchivePuts::put_text(const std::string& path, std::string_view text) {
  put_folders_above(path);
  backup::Entry entry;
  entry.path = path;
  entry.mode = kFileMode;
  entry.uid = ::geteuid();
  entry.gid = ::getegid();
  entry.modified_ns = now_ns();
  TextContent content(text);
  put_content(std::move(entry), content);
}

void ArchivePuts::put_file(const std::string& path, const fs::path& file) {
  put_folders_above(path);
  const struct stat status = status_of(file);
  if (status.st_nlink > 1) {
    const auto [first, is_new] = linked_.emplace(std::pair(status.st_dev, status.st_ino), path);
    if (!is_new) {
      backup::Entry entry = entry_of(path, status);
      entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
      entry.same_file_as = first->second;
      sink_.put(entry, nullptr);
      ++files_;
      return;
    }
  }
  FileContent content(file);
  put_content(entry_of(path, status), content);
}

void ArchivePuts::put_database(const std::string& path, const fs::path& file) {
  put_folders_above(path);
  for (int tries = 1;; ++tries) try {
      DatabaseContent content(file);
      return put_content(entry_of(path, status_of(file)), content);
    } catch (const backup::Changed&) {
      if (tries == kMostTries)
        throw Error(Errc::failed, io::shown(file) + " changes whenever it is read", "run the command again");
    }
}

void ArchivePuts::put_folder(const std::string& path, const fs::path& folder) {
  std::error_code absent;
  if (!fs::is_directory(folder, absent)) return;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    check_interrupt();
    if (is_left_out(name)) continue;
    const fs::path file = folder / name;
    const std::string inside = path + "/" + name;
    const struct stat status = status_of(file);
    if (S_ISDIR(status.st_mode)) {
      put_folder(inside, file);
    } else if (S_ISLNK(status.st_mode)) {
      put_folders_above(inside);
      backup::Entry entry = entry_of(inside, status);
      entry.type = backup::EntryType::link;
      entry.link_target = fs::read_symlink(file).native();
      sink_.put(entry, nullptr);
      ++files_;
    } else if (S_ISREG(status.st_mode)) {
      if (name.ends_with(".sqlite"))
        put_database(inside, file);
      else
        put_file(inside, file);
    }
  }
}

}  // namespace reef::persona::internal
