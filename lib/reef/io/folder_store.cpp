#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/object_store.h"

namespace reef::io {
namespace {

constexpr std::size_t kMaxKeyBytes = 900;   // S3 takes 1024 with the prefix
constexpr std::size_t kMaxPartBytes = 200;  // a folder's names end at 255, those of staged files earlier
constexpr std::size_t kPieceBytes = 1 << 20;
constexpr unsigned kFileMode = 0640;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_part(std::string_view part) {
  return !part.empty() && part.size() <= kMaxPartBytes && part.front() != '.' &&
         std::all_of(part.begin(), part.end(), is_plain);
}

/// Copies and checks, so that the target is durable and has the digest, or is as before.
void copy_checked(const fs::path& from, const fs::path& to, const Sha256Digest& sha256, Errc otherwise,
                  const std::string& hint, Progress& progress) {
  const UniqueFd source = open_regular(from, "");
  StagedFile copy(to, kFileMode);
  copy_contents(
      source.get(), copy.fd(), from, copy.temporary_path(),
      [](void* self, std::uint64_t count) {
        static_cast<Progress*>(self)->advance(count);
        check_interrupt();
      },
      &progress);
  const Sha256Digest found = sha256_file(copy.temporary_path(), [](std::uint64_t) { check_interrupt(); });
  if (found != sha256) {
    throw Error(otherwise, fmt::format("{}: sha256 is {}, expected is {}", shown(from), to_hex(found), to_hex(sha256)),
                hint);
  }
  copy.commit();
}

/// Files of `folder` and those below it whose keys, which begin with `start`, begin with `prefix`.
void collect(const fs::path& folder, const std::string& start, const std::string& prefix,
             std::vector<StoredObject>& found) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    check_interrupt();
    const std::string part = entry.path().filename().string();
    const std::string key = start + part;
    const std::size_t common = std::min(key.size(), prefix.size());
    if (!is_part(part) || key.compare(0, common, prefix, 0, common) != 0) continue;
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      throw_errno("stat", shown(entry.path()));
    }
    if (S_ISDIR(info.st_mode)) collect(entry.path(), key + "/", prefix, found);
    if (S_ISREG(info.st_mode) && key.starts_with(prefix) && is_object_key(key))
      found.push_back({key, static_cast<std::uint64_t>(info.st_size)});
  }
}

}  // namespace

bool is_object_key(std::string_view key) {
  if (key.size() > kMaxKeyBytes) return false;
  while (true) {
    const std::size_t slash = key.find('/');
    if (!is_part(key.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    key.remove_prefix(slash + 1);
  }
}

std::string FolderStore::name() const { return shown(folder_); }

fs::path FolderStore::path_of(const std::string& key) const {
  if (!is_object_key(key)) throw std::logic_error("no key of an object: " + key);
  return folder_ / key;
}

std::optional<fs::path> FolderStore::local_path(const std::string& key) const { return path_of(key); }

/// Of the store itself never: where it is missing, its drive is.
void FolderStore::make_folders_of(const fs::path& file) const {
  const fs::path folder = file.parent_path();
  if (folder == folder_ || fs::is_directory(folder)) return;
  make_folders_of(folder);
  if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) throw_errno("create", shown(folder));
  sync_directory(folder.parent_path());
}

std::vector<StoredObject> FolderStore::list(const std::string& prefix) {
  std::vector<StoredObject> found;
  try {
    collect(folder_, "", prefix, found);
  } catch (const fs::filesystem_error&) {
    throw current_error();
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return found;
}

std::optional<std::uint64_t> FolderStore::find(const std::string& key) {
  const fs::path path = path_of(key);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(info.st_size);
  }
  if (errno != ENOENT && errno != ENOTDIR) throw_errno("stat", shown(path));
  return std::nullopt;
}

void FolderStore::put(const std::string& key, std::string_view bytes) {
  const fs::path path = path_of(key);
  make_folders_of(path);
  replace_file(path, bytes, kFileMode);
}

void FolderStore::put_file(const std::string& key, const fs::path& file, const Sha256Digest& sha256,
                           Progress& progress) {
  const fs::path path = path_of(key);
  make_folders_of(path);
  copy_checked(file, path, sha256, Errc::failed, "it changed, or is damaged; run the command again", progress);
}

std::string FolderStore::get(const std::string& key, std::uint64_t max_bytes) {
  const fs::path path = path_of(key);
  const auto bytes = find(key);
  if (bytes.value_or(0) > max_bytes)
    throw Error(Errc::corrupt, fmt::format("{} has {} bytes, {} are allowed", shown(path), *bytes, max_bytes));
  return read_file(path, max_bytes);
}

void FolderStore::get_file(const std::string& key, const fs::path& file, const Sha256Digest& sha256,
                           Progress& progress) {
  copy_checked(path_of(key), file, sha256, Errc::corrupt, "the copy in the store is damaged", progress);
}

void FolderStore::read(const std::string& key, std::uint64_t offset, std::uint64_t count,
                       const std::function<void(std::span<const std::uint8_t>)>& take) {
  const fs::path path = path_of(key);
  const UniqueFd fd = open_regular(path, "");
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min<std::uint64_t>(count, kPieceBytes)));
  while (count > 0) {
    check_interrupt();
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(count, kPieceBytes));
    pread_exact(fd.get(), piece.data(), length, offset, path);
    take({piece.data(), length});
    offset += length;
    count -= length;
  }
}

void FolderStore::remove(const std::string& key) {
  const fs::path path = path_of(key);
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    throw_errno("remove", shown(path));
  }
  sync_directory(path.parent_path());
}

void FolderStore::clean_up() {
  std::vector<fs::path> folders{folder_};
  try {
    for (auto entry = fs::recursive_directory_iterator(folder_); entry != fs::recursive_directory_iterator(); ++entry) {
      check_interrupt();
      if (!entry->is_directory() || entry->is_symlink()) continue;
      if (is_part(entry->path().filename().native())) {
        folders.push_back(entry->path());
      } else {
        entry.disable_recursion_pending();
      }
    }
  } catch (const fs::filesystem_error&) {
    throw current_error();
  }
  for (const fs::path& folder : folders) remove_stale(folder);
}

}  // namespace reef::io
