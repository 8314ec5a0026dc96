#include "reef/backup/internal/capture_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <system_error>
#include <thread>

#include "reef/backup/what.h"
#include "reef/core/cancel.h"
#include "reef/io/file.h"
#include "reef/io/file_state.h"

namespace reef::backup::internal {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kTries = 3;
constexpr std::chrono::milliseconds kUntilSettled{25};

bool is_gone(const Folder& folder, const std::string& name) {
  struct stat status {};
  return ::fstatat(folder.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

Error error_of(const std::string& action, const std::string& path, int code) {
  try {
    errno = code;
    throw_errno(action, path);
  } catch (const Error& error) {
    return error;
  }
}

/// What a database holds depends on its file and its log.
std::string database_state(const Folder& folder, const Item& item) {
  std::string file = io::file_state(item.status, item.before_ns);
  const std::int64_t before = io::file_clock_ns();
  struct stat log {};
  if (::fstatat(folder.fd, (item.name + "-wal").c_str(), &log, AT_SYMLINK_NOFOLLOW) != 0 || log.st_size == 0)
    return file;  // a log that is empty says as little as none
  // SQLite under root gives the log to the database's owner whenever it opens it, which changes its ctime;
  // nobody sets its mtime.
  log.st_ctim = log.st_mtim;
  const std::string state = io::file_state(log, before);
  return file.empty() || state.empty() ? std::string() : file + '+' + state;
}

}  // namespace

OpenItem open_item(const Folder& folder, const std::string& name) {
  OpenItem file;
  file.item.name = name;
  file.item.before_ns = io::file_clock_ns();
  // O_NONBLOCK: a pipe of that name must not hold us up.
  io::UniqueFd fd(::openat(folder.fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd || ::fstat(fd.get(), &file.item.status) != 0)
    file.error = errno;
  else if (S_ISREG(file.item.status.st_mode))
    file.fd = std::move(fd);
  else
    file.error = ELOOP;
  return file;
}

bool is_sqlite_file(const Folder& folder, const std::string& name) {
  const OpenItem file = open_item(folder, name);
  std::array<std::uint8_t, 16> first{};
  return file.fd && ::pread(file.fd.get(), first.data(), first.size(), 0) == static_cast<ssize_t>(first.size()) &&
         io::begins_as_sqlite(first);
}

std::string CaptureRun::shown(const std::string& path) const { return io::shown(tree_.root() / path); }

Entry CaptureRun::entry_of(const std::string& path, const Item& item, EntryType type) {
  Entry entry;
  entry.path = path;
  entry.type = type;
  entry.mode = item.status.st_mode & 07777U;
  entry.uid = item.status.st_uid;
  entry.gid = item.status.st_gid;
  entry.modified_ns = item.status.st_mtim.tv_sec * kSecond + item.status.st_mtim.tv_nsec;
  if (type == EntryType::file) entry.size_bytes = static_cast<std::uint64_t>(item.status.st_size);
  return entry;
}

void CaptureRun::count(const std::string& path, const Item& item) {
  ++report_.files;
  if (item.status.st_nlink > 1) several_names_.emplace(std::pair(item.status.st_dev, item.status.st_ino), path);
}

bool CaptureRun::keep(const Entry& entry, const Item& item) {
  if (entry.state.empty() || !writer_.keep(entry)) return false;
  ++report_.kept;
  count(entry.path, item);
  return true;
}

Outcome CaptureRun::put_content(Entry entry, const Item& item, SourceContent& content) {
  entry.size_bytes = content.size_bytes();
  try {
    writer_.put(entry, &content);
  } catch (const Changed&) {
    return Outcome::changed;
  } catch (const Error& error) {
    const auto fault = content.fault();
    if (!fault || fault->code() == Errc::interrupted) throw;  // it is not the tree that failed
    damage(entry.path, *fault);
    return Outcome::failed;
  }
  count(entry.path, item);
  progress_.advance(entry.size_bytes);
  return Outcome::put;
}

void CaptureRun::put_folder(const std::string& path, const struct stat& status, const std::string& target) {
  Entry entry = entry_of(path, {"", status, 0}, EntryType::folder);
  entry.link_target = target;
  writer_.put(entry, nullptr);
  ++report_.folders;
}

void CaptureRun::put_link(const Folder& folder, const Item& item, const std::string& target) {
  Entry entry = entry_of(folder.path_of(item.name), item, EntryType::link);
  entry.link_target = target;
  writer_.put(entry, nullptr);
  ++report_.links;
}

void CaptureRun::put_hard_link(const Folder& folder, const Item& item, const std::string& first) {
  Entry entry = entry_of(folder.path_of(item.name), item, EntryType::file);
  entry.same_file_as = first;
  writer_.put(entry, nullptr);
  ++report_.files;
}

bool CaptureRun::put_bytes(const Folder& folder, const Item& item, bool vouched) {
  const std::string path = folder.path_of(item.name);
  const auto first = several_names_.find({item.status.st_dev, item.status.st_ino});
  if (item.status.st_nlink > 1 && first != several_names_.end()) {
    put_hard_link(folder, item, first->second);
    return true;
  }
  Entry looked = entry_of(path, item, EntryType::file);
  if (vouched) looked.state = io::file_state(item.status, item.before_ns);
  if (keep(looked, item)) return true;
  for (int i = 0;; ++i) {
    const bool as_it_is = i == kTries;
    OpenItem file = open_item(folder, item.name);
    if (!file.fd) {
      const int code = file.error;
      // ELOOP: something else of that name by now. It is in the next snapshot.
      if (code != ENOENT && code != ELOOP) damage(path, error_of("open", shown(path), code));
      if (code == ELOOP) note(path, fmt::format("{} was replaced while the tree was read", shown(path)), "");
      if (code == ENOENT && !is_gone(folder, item.name) && !as_it_is) continue;
      return false;
    }
    if (!as_it_is && io::changed_just_now(file.item.status, file.item.before_ns)) {
      check_interrupt();
      std::this_thread::sleep_for(kUntilSettled);
      continue;
    }
    Entry entry = entry_of(path, file.item, EntryType::file);
    if (vouched && !as_it_is) entry.state = io::file_state(file.item.status, file.item.before_ns);
    PlainContent content(std::move(file.fd), file.item.status, shown(path), as_it_is);
    const Outcome outcome = put_content(std::move(entry), file.item, content);
    if (outcome == Outcome::changed) continue;
    if (outcome == Outcome::put && as_it_is) {
      report_.changed.push_back(path);
      writer_.note_changed(path);
    }
    return outcome == Outcome::put;
  }
}

Outcome CaptureRun::put_open(const Folder& folder, OpenItem file) {
  Entry entry = entry_of(folder.path_of(file.item.name), file.item, EntryType::file);
  entry.state = io::file_state(file.item.status, file.item.before_ns);
  if (keep(entry, file.item)) return Outcome::put;
  PlainContent content(std::move(file.fd), file.item.status, shown(entry.path), false);
  return put_content(std::move(entry), file.item, content);
}

Outcome CaptureRun::put_rows(const Folder& folder, OpenItem file, std::uint64_t rows, std::uint64_t row_bytes,
                             bool unchanging) {
  Entry entry = entry_of(folder.path_of(file.item.name), file.item, EntryType::file);
  entry.state = io::file_state(file.item.status, file.item.before_ns);
  if (!entry.state.empty()) entry.state += fmt::format(":{}", rows);
  if (keep(entry, file.item)) return Outcome::put;
  if (unchanging && io::changed_just_now(file.item.status, file.item.before_ns)) return Outcome::changed;
  std::optional<RowsContent> content;
  const Item item = file.item;
  try {
    content.emplace(std::move(file.fd), item.status, shown(entry.path), rows, row_bytes, unchanging);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    put_damaged(folder, item, {}, error);
    return Outcome::failed;
  }
  return put_content(std::move(entry), item, *content);
}

std::unique_ptr<io::SqliteCapture> CaptureRun::open_database(const Folder& folder, const std::string& name,
                                                             bool may_rest) const {
  // SQLite opens by names; this one is of the folder that is open, wherever links led.
  std::error_code error;
  const fs::path real = fs::read_symlink(fmt::format("/proc/self/fd/{}", folder.fd), error);
  if (error) throw Error(Errc::failed, fmt::format("open {}: {}", shown(folder.path_of(name)), error.message()));
  return std::make_unique<io::SqliteCapture>(real / name,
                                             io::SqliteCaptureOptions{options_.patience, options_.scratch, may_rest});
}

void CaptureRun::put_database(const Folder& folder, const Item& item, const std::vector<Item>& companions) {
  const std::string path = folder.path_of(item.name);
  Entry entry = entry_of(path, item, EntryType::file);
  entry.state = database_state(folder, item);
  if (keep(entry, item)) {
    ++report_.databases;
    return;
  }
  if (!is_sqlite_file(folder, item.name)) {
    if (is_gone(folder, item.name)) return;
    if (is_database_of_reef(path)) {
      const char* const what = item.status.st_size == 0 ? "it is empty" : "it does not begin as a SQLite database";
      return put_damaged(folder, item, companions,
                         Error(Errc::corrupt, fmt::format("{} is damaged: {}", shown(path), what),
                               "restore it from an earlier snapshot"));
    }
    put_plain(folder, item);
    for (const Item& companion : companions) put_plain(folder, companion);
    return;
  }
  for (int i = 0; i < kTries; ++i) {
    std::unique_ptr<io::SqliteCapture> capture;
    try {
      capture = open_database(folder, item.name, i == 0);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      if (error.code() == Errc::not_found && is_gone(folder, item.name)) return;
      if (error.code() == Errc::locked) return damage(path, error);  // its bytes are of no one moment
      return put_damaged(folder, item, companions, error);
    }
    if (put_captured(folder, item, *capture) != Outcome::changed) return;
  }
  put_damaged(
      folder, item, companions,
      Error(Errc::failed, fmt::format("{} was changed each time it was read, without SQLite's locks", shown(path)),
            "see which program writes to it"));
}

Outcome CaptureRun::put_captured(const Folder& folder, const Item& item, io::SqliteCapture& capture) {
  Entry entry = entry_of(folder.path_of(item.name), item, EntryType::file);
  // From before the transaction began: what is captured may be newer, and is then read again by the next run. For the
  // same reason an earlier capture of that state stands for this one only if nothing was committed in between.
  entry.state = database_state(folder, item);
  Item now = item;
  now.before_ns = io::file_clock_ns();
  const bool is_there = ::fstatat(folder.fd, item.name.c_str(), &now.status, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && database_state(folder, now) == entry.state && keep(entry, item)) {
    ++report_.databases;
    return Outcome::put;
  }
  Counts counts;
  std::optional<Error> damaged;
  try {
    counts = row_counts(capture.database());
    if (options_.check_databases)
      if (const std::string faults = capture.database().integrity(true); !faults.empty())
        damaged.emplace(Errc::corrupt, fmt::format("{} is damaged: {}", shown(entry.path), faults),
                        "restore it from an earlier snapshot");
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    damaged = error;
  }
  // A page may be wrong because it was written at that moment.
  if (damaged && !capture.still_holds()) return Outcome::changed;
  if (damaged) entry.state.clear();  // so that it is looked at again, and told again, the next time
  DatabaseContent content(capture, std::move(counts));
  const Outcome outcome = put_content(entry, item, content);
  if (outcome != Outcome::put) return outcome;
  ++report_.databases;
  if (damaged) damage(entry.path, *damaged);
  return Outcome::put;
}

void CaptureRun::put_damaged(const Folder& folder, const Item& item, const std::vector<Item>& companions,
                             const Error& error) {
  put_bytes(folder, item, false);
  for (const Item& companion : companions) put_bytes(folder, companion, false);
  damage(folder.path_of(item.name), error);
}

void CaptureRun::damage(const std::string& path, const Error& error) {
  report_.problems.push_back({path, error.what(), error.hint()});
  writer_.note_damaged(path, error.what());
}

void CaptureRun::note(const std::string& path, std::string what, std::string hint) {
  report_.notes.push_back({path, std::move(what), std::move(hint)});
}

}  // namespace reef::backup::internal
