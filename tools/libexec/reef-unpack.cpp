// reef-unpack ARCHIVE FOLDER: unpacks a zip file (a Python wheel) that comes from strangers into an
// existing, empty folder. Nothing of it is run, and nothing is written outside of the folder: plain
// files under relative names only, as many bytes as the directory of the archive declares, and no
// more than the limits below. The reason of a refusal is one line on stderr; statuses as in reef(7).
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/io/unique_handle.h"

namespace {

namespace fs = std::filesystem;
using namespace reef;

constexpr std::uint64_t kMaxEntries = 20'000;
constexpr std::uint64_t kMaxTotalBytes = std::uint64_t{1} << 40;
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::ptrdiff_t kMaxPathDepth = 32;
constexpr std::size_t kReadBlockBytes = std::size_t{1} << 20;
/// What the filesystem needs beside the files' bytes.
constexpr std::uint64_t kSpareBytes = 16 << 20;

struct ArchiveTraits {
  using value_type = archive*;
  static constexpr archive* empty() noexcept { return nullptr; }
  static void release(archive* a) noexcept { ::archive_read_free(a); }
};
using UniqueArchive = io::UniqueHandle<ArchiveTraits>;

[[noreturn]] void refuse(const std::string& reason) { throw Error(Errc::corrupt, reason); }

std::string reason_of(archive* a) {
  const char* text = ::archive_error_string(a);
  return text ? printable(text) : "unreadable";
}

UniqueArchive open_archive(const char* path) {
  UniqueArchive a(::archive_read_new());
  if (!a) throw Error(Errc::failed, "out of memory");
  ::archive_read_support_format_zip_seekable(a.get());
  if (::archive_read_open_filename(a.get(), path, kReadBlockBytes) != ARCHIVE_OK) refuse(reason_of(a.get()));
  return a;
}

/// The entry's name, if it is one that stays inside the folder.
fs::path safe_path(archive_entry* entry) {
  const char* name = ::archive_entry_pathname(entry);
  if (!name || *name == '\0') refuse("an entry has no name");
  const std::string text(name);
  const auto unsafe = [&](const char* rule) { refuse(fmt::format("'{}': {}", ellipsis(printable(text), 80), rule)); };
  if (text.size() > kMaxPathBytes) unsafe("the name is too long");
  if (text.front() == '/' || text.find('\\') != std::string::npos) unsafe("the name is not relative");
  const fs::path path(text);
  if (std::find(path.begin(), path.end(), "..") != path.end()) unsafe("the name leaves the folder");
  if (std::distance(path.begin(), path.end()) > kMaxPathDepth) unsafe("the name is nested too deep");
  return path.lexically_normal();
}

struct Entry {
  fs::path path;
  std::uint64_t bytes = 0;
  bool is_folder = false;
};

/// Checks the type and size that the archive declares.
Entry read_entry(archive_entry* entry) {
  Entry out;
  out.path = safe_path(entry);
  const auto type = ::archive_entry_filetype(entry);
  out.is_folder = type == AE_IFDIR;
  if (!out.is_folder && type != AE_IFREG) refuse(fmt::format("'{}' is no plain file", printable(out.path.string())));
  if (out.is_folder) return out;
  if (!::archive_entry_size_is_set(entry) || ::archive_entry_size(entry) < 0) {
    refuse(fmt::format("'{}' declares no size", printable(out.path.string())));
  }
  out.bytes = static_cast<std::uint64_t>(::archive_entry_size(entry));
  return out;
}

/// The next entry; false at the end of the archive.
bool next(archive* a, archive_entry** entry) {
  const int result = ::archive_read_next_header(a, entry);
  if (result == ARCHIVE_EOF) return false;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) refuse(reason_of(a));
  return true;
}

/// A first pass over the directory alone, so that nothing is written of what cannot be finished.
void check_directory(const char* archive_path, const fs::path& folder) {
  const UniqueArchive a = open_archive(archive_path);
  std::uint64_t total = 0;
  std::uint64_t count = 0;
  archive_entry* entry = nullptr;
  while (next(a.get(), &entry)) {
    if (++count > kMaxEntries) refuse(fmt::format("more than {} entries", kMaxEntries));
    total += read_entry(entry).bytes;
    if (total > kMaxTotalBytes) refuse(fmt::format("more than {} unpacked", format_size(kMaxTotalBytes)));
  }
  struct statvfs space {};
  if (::statvfs(folder.c_str(), &space) != 0) throw_errno("statvfs", io::shown(folder));
  const std::uint64_t available = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (available < total + kSpareBytes) {
    throw Error(Errc::failed, fmt::format("unpacked it takes {}, {} are free on {}", format_size(total),
                                          format_size(available), io::shown(folder)));
  }
}

void write_entry(archive* a, const Entry& entry, const fs::path& target) {
  fs::create_directories(target.parent_path());
  const io::UniqueFd fd = io::open_file(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  std::uint64_t written = 0;
  while (true) {
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int result = ::archive_read_data_block(a, &data, &size, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK) refuse(fmt::format("'{}': {}", printable(entry.path.string()), reason_of(a)));
    if (offset < 0 || static_cast<std::uint64_t>(offset) != written || size > entry.bytes - written) {
      refuse(fmt::format("'{}' is longer than it declares", printable(entry.path.string())));
    }
    io::write_all(fd.get(), {static_cast<const char*>(data), size}, target);
    written += size;
  }
  if (written != entry.bytes) refuse(fmt::format("'{}' is cut", printable(entry.path.string())));
}

void unpack(const char* archive_path, const fs::path& folder) {
  check_directory(archive_path, folder);
  const UniqueArchive a = open_archive(archive_path);
  archive_entry* raw = nullptr;
  while (next(a.get(), &raw)) {
    const Entry entry = read_entry(raw);
    const fs::path target = folder / entry.path;
    if (entry.is_folder) {
      fs::create_directories(target);
    } else if (fs::exists(fs::symlink_status(target))) {
      refuse(fmt::format("'{}' occurs twice", printable(entry.path.string())));
    } else {
      write_entry(a.get(), entry, target);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: reef-unpack ARCHIVE FOLDER\n");
    return exit_status(Errc::usage);
  }
  try {
    unpack(argv[1], argv[2]);
    return 0;
  } catch (const Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return exit_status(e.code());
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return exit_status(Errc::failed);
  }
}
