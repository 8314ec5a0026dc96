#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::io {

namespace fs = std::filesystem;

/// True with REEF_IO=plain in the environment: every writer then keeps to write(2) and pwrite(2),
/// without reflinks, copies in the kernel and mapped writes, so that tests can fail each call.
bool plain_io();

/// A path as a message shows it: quoted when it holds spaces, bytes that are no UTF-8 or no
/// printable characters as \xNN.
std::string shown(const fs::path& path);

/// The whole content. Throws Error{failed} above `limit_bytes`, naming the limit.
std::string read_file(const fs::path& path, std::uint64_t limit_bytes = UINT64_MAX);

/// Writes all of it, whatever write(2) returns in between. `path` is for messages only.
void write_all(int fd, std::string_view bytes, const fs::path& path);
void pwrite_all(int fd, std::string_view bytes, std::uint64_t offset, const fs::path& path);
/// Reads exactly `count` bytes at `offset`; Error{corrupt} when the file ends before.
void pread_exact(int fd, void* into, std::size_t count, std::uint64_t offset, const fs::path& path);

UniqueFd open_file(const fs::path& path, int flags, unsigned mode = 0640);
/// For reading; Error{usage} with `hint` for a folder, pipe or device.
UniqueFd open_regular(const fs::path& path, const std::string& hint);
std::uint64_t file_size(int fd, const fs::path& path);
void sync_file(int fd, const fs::path& path);
/// Makes renames, links and removals inside `directory` durable.
void sync_directory(const fs::path& directory);

/// Replaces `path` by `bytes` so that a crash leaves the old file or the new one, never a part.
/// Writes a temporary file in the same directory, fsyncs it, renames it over `path`, then fsyncs
/// the directory. On failure the temporary file is removed and `path` is untouched.
void replace_file(const fs::path& path, std::string_view bytes, unsigned mode = 0640);

/// A new file that appears under its name only with commit(); removed when that does not happen.
/// Temporary names are ".<name>.<random>.tmp", beside the target; remove_stale() finds them.
class StagedFile {
 public:
  explicit StagedFile(fs::path target, unsigned mode = 0640);
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  ~StagedFile();

  int fd() const { return fd_.get(); }
  const fs::path& temporary_path() const { return temporary_; }
  void write(std::string_view bytes);
  /// fsync, rename over the target, fsync the directory.
  void commit();
  /// The same where nothing must be replaced: false, and nothing is done, when there is something of that name.
  bool commit_new();

 private:
  void published();

  fs::path target_;
  fs::path temporary_;
  UniqueFd fd_;
  bool committed_ = false;
};

/// rename(2) where nothing must be replaced: false, and nothing is done, when there is something of that name. Where
/// the filesystem cannot refuse to replace (networks, mostly) it is looked for first. Throws Error{failed}.
bool rename_new(const fs::path& from, const fs::path& to);

/// Removes what StagedFile and staged folders of killed runs left in `directory`. The caller holds
/// the lock of whatever lives there. Returns how many entries it removed.
std::size_t remove_stale(const fs::path& directory);

/// Removes what StagedFile of killed runs left beside `target` for that name, where anybody may write: a file that some
/// process has open is its, and one that cannot be asked about (another user's, on a filesystem without leases) stays.
/// Never fails.
void remove_stale_of(const fs::path& target);

/// Whether a name is one that remove_stale() removes: ".<name>.<6 letters>.tmp".
bool is_temporary_name(std::string_view name);
/// A name for a temporary entry beside `target`, of the form that remove_stale() recognises.
fs::path temporary_name(const fs::path& target);

/// Copies through reflink where the filesystem can, else copy_file_range, else read and write.
/// `on_bytes` learns of progress; the target is new, private to the caller and fsynced.
void copy_contents(int from, int to, const fs::path& from_path, const fs::path& to_path,
                   void (*on_bytes)(void*, std::uint64_t) = nullptr, void* context = nullptr);

/// Holds an exclusive flock(2) on a file for as long as the object lives; the lock dies with the
/// process. Throws Error{locked} naming the holder's pid when another process still holds it
/// after `wait` (default: at once, so that a cron job that overruns its period does not pile up).
class LockFile {
 public:
  explicit LockFile(const fs::path& path, std::chrono::milliseconds wait = std::chrono::milliseconds{0});
  /// Keeps writers out of what is only read, and writes nothing itself. Holds nothing where there is no lock file:
  /// no writer has been there yet.
  static LockFile for_reading(const fs::path& path, std::chrono::milliseconds wait);

 private:
  LockFile(const fs::path& path, std::chrono::milliseconds wait, int flags);

  UniqueFd fd_;
};

}  // namespace reef::io
