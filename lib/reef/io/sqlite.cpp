#include "reef/io/sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/sqlite_error.h"
#include "reef/io/internal/sqlite_open.h"

namespace reef::io {
namespace {

using internal::throw_sqlite;

constexpr int kBusyMilliseconds = 5000;
/// Steps of SQLite's virtual machine between two looks at pending_signal (about a millisecond).
constexpr int kStepsPerLook = 50'000;

int stop_on_signal(void*) { return pending_signal != 0 ? 1 : 0; }

/// SQLite's own busy timeout sleeps on when Ctrl-C is pressed; this one does not. Pauses of
/// 1, 2, … 20, then 25 ms, five seconds in all. `calls` counts from 0.
int wait_while_busy(void*, int calls) {
  constexpr int kGrowing = 20;
  const int growing = std::min(calls, kGrowing);
  const int waited = growing * (growing + 1) / 2 + (calls - growing) * 25;
  if (waited >= kBusyMilliseconds || pending_signal != 0) return 0;
  ::sqlite3_sleep(calls < kGrowing ? calls + 1 : 25);
  return 1;
}

bool has_content(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

bool is_there(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

fs::path beside(const fs::path& path, const char* suffix) { return fs::path(path.native() + suffix); }

/// A statement that has triggers keeps the pages which it changes, to take them back if it fails: from 64 KiB on in a
/// file, with several writes for each row, unless more memory is allowed. Has to be said before SQLite is used.
void keep_statement_journals_in_memory() {
  constexpr int kMostBytes = 16 << 20;
  static const int done = ::sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, kMostBytes);
  static_cast<void>(done);  // else they are in files
}

}  // namespace

namespace internal {

std::string immutable_uri(const fs::path& path) {
  const std::string name = fs::absolute(path).string();
  std::string uri = "file:";
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
                       c == '.' || c == '-' || c == '_';
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return uri + "?immutable=1";
}

std::string plain_name(const fs::path& path) {
  return path.native().starts_with("file:") ? "./" + path.native() : path.native();
}

SqliteHandle open_handle(const std::string& name, int flags, const std::string& path) {
  keep_statement_journals_in_memory();
  sqlite3* raw = nullptr;
  // A connection belongs to one thread at a time, so that SQLite need not lock each column read.
  const int code = ::sqlite3_open_v2(name.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  SqliteHandle handle(raw);
  if (code != SQLITE_OK) throw_sqlite(raw, code, "open", path);
  ::sqlite3_extended_result_codes(raw, 1);
  ::sqlite3_busy_handler(raw, wait_while_busy, nullptr);
  ::sqlite3_progress_handler(raw, kStepsPerLook, stop_on_signal, nullptr);
  constexpr std::array<std::pair<int, int>, 4> kSettings = {{{SQLITE_DBCONFIG_DQS_DML, 0},
                                                             {SQLITE_DBCONFIG_DQS_DDL, 0},
                                                             {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                                             {SQLITE_DBCONFIG_ENABLE_FKEY, 1}}};
  for (const auto& [setting, value] : kSettings) {
    if (const int result = ::sqlite3_db_config(raw, setting, value, nullptr); result != SQLITE_OK) {
      throw_sqlite(raw, result, "configure", path);
    }
  }
  return handle;
}

int touch(sqlite3* db) { return ::sqlite3_exec(db, "SELECT 1 FROM sqlite_schema LIMIT 1", nullptr, nullptr, nullptr); }

}  // namespace internal

namespace {

using Handle = internal::SqliteHandle;
using internal::immutable_uri;
using internal::open_handle;
using internal::plain_name;
using internal::touch;

/// For reading. A database in WAL mode wants to write its -shm file even then. Where that is not
/// possible (a read-only filesystem, a folder of somebody else) and nobody has it open, the file
/// itself holds everything and cannot change under us: SQLite calls that immutable.
Handle open_for_reading(const fs::path& path) {
  Handle handle = open_handle(plain_name(path), SQLITE_OPEN_READONLY, shown(path));
  const int code = touch(handle.get());
  const int kind = code & 0xFF;
  if (code == SQLITE_OK) return handle;
  if (kind != SQLITE_CANTOPEN && kind != SQLITE_READONLY) throw_sqlite(handle.get(), code, "open", shown(path));
  if (has_content(beside(path, "-wal"))) {
    throw Error(Errc::failed,
                fmt::format("open {}: its newest changes are in {}, which cannot be read without writing beside it",
                            shown(path), shown(beside(path, "-wal"))),
                "copy both files to a folder that can be written, or run the command as the owner of the folder");
  }
  if (is_there(beside(path, "-shm"))) throw_sqlite(handle.get(), code, "open", shown(path));
  handle = open_handle(immutable_uri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, shown(path));
  if (const int again = touch(handle.get()); again != SQLITE_OK) {
    throw_sqlite(handle.get(), again, "open", shown(path));
  }
  return handle;
}

Handle open_for_writing(const fs::path& path) {
  Handle handle = open_handle(plain_name(path), SQLITE_OPEN_READWRITE, shown(path));
  // SQLite opens what it may not write for reading, in silence.
  if (::sqlite3_db_readonly(handle.get(), "main") == 1) {
    throw_sqlite(nullptr, SQLITE_READONLY, "open", shown(path));
  }
  // 16 KiB pages, which a new database keeps for ever: a question reads a third as often, and a
  // cold disk answers each of these reads after the same wait.
  constexpr const char* kPrepare = "PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA secure_delete=ON";
  // Where several processes make one file at once, SQLite answers a change to WAL with BUSY without
  // waiting: whoever is first needs milliseconds.
  int code = SQLITE_BUSY;
  for (int wait_ms = 1; (code & 0xFF) == SQLITE_BUSY && wait_ms <= 1024; wait_ms *= 2) {
    code = ::sqlite3_exec(handle.get(), kPrepare, nullptr, nullptr, nullptr);
    if ((code & 0xFF) != SQLITE_BUSY) break;
    check_interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
  }
  if (code != SQLITE_OK) throw_sqlite(handle.get(), code, "open", shown(path));
  return handle;
}

/// An empty file is an empty database; made here because SQLite's own would be readable by all.
/// The -wal and -shm take the rights of the database. Never opens a file that exists: closing it
/// would drop the POSIX locks that another connection of this process holds on it.
void create_if_absent(const fs::path& path) {
  constexpr mode_t kMode = 0640;
  const UniqueFd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (made) {
    ::fchmod(made.get(), kMode);  // whatever the umask; filesystems without modes refuse
  } else if (errno != EEXIST) {
    throw_errno("create", shown(path));
  }
}

bool is_file_name(const fs::path& path) { return !path.empty() && path != ":memory:"; }

}  // namespace

void SqliteDbTraits::release(sqlite3* db) noexcept { ::sqlite3_close_v2(db); }

Database::Database(const fs::path& path, OpenMode mode) : path_(path.string()) {
  if (is_file_name(path)) {
    if (mode == OpenMode::create) create_if_absent(path);
    if (!is_there(path)) throw_errno("open", shown(path));
  }
  handle_ = mode == OpenMode::read ? open_for_reading(path) : open_for_writing(path);
}

Database::Database(std::string path, UniqueHandle<SqliteDbTraits> connection)
    : path_(std::move(path)), handle_(std::move(connection)) {}

void Database::execute(const std::string& sql) {
  const int code = ::sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw_sqlite(handle_.get(), code, "change", shown(path_));
}

std::int64_t Database::last_insert_rowid() const { return ::sqlite3_last_insert_rowid(handle_.get()); }

std::int64_t Database::changes() const { return ::sqlite3_changes64(handle_.get()); }

std::string Database::integrity(bool quick) {
  std::string findings;
  try {
    Statement check = prepare(quick ? "PRAGMA quick_check(10)" : "PRAGMA integrity_check(10)");
    while (check.step()) {
      if (check.text(0) == "ok") continue;
      if (!findings.empty()) findings += '\n';
      findings += check.text(0);
    }
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;  // too damaged to be checked: a finding, too
    if (!findings.empty()) findings += '\n';
    findings += e.what();
  }
  return findings;
}

bool Database::in_transaction() const { return ::sqlite3_get_autocommit(handle_.get()) == 0; }

void empty_database(const fs::path& path) {
  const Handle handle = open_handle(plain_name(path), SQLITE_OPEN_READWRITE, shown(path));
  touch(handle.get());  // whatever it finds: it then stays in WAL mode
  // The way that SQLite documents for files that it cannot read.
  ::sqlite3_db_config(handle.get(), SQLITE_DBCONFIG_RESET_DATABASE, 1, nullptr);
  const int code = ::sqlite3_exec(handle.get(), "VACUUM", nullptr, nullptr, nullptr);
  ::sqlite3_db_config(handle.get(), SQLITE_DBCONFIG_RESET_DATABASE, 0, nullptr);
  if (code != SQLITE_OK) throw_sqlite(handle.get(), code, "empty", shown(path));
}

bool Database::checkpoint() {
  return ::sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) == SQLITE_OK;
}

bool Database::empty_log(std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kLongestPause{100};
  const auto end = Clock::now() + patience;
  for (std::chrono::milliseconds pause{5};; pause = std::min(2 * pause, kLongestPause)) {
    // SQLite would wait for readers while it holds the lock of writers.
    ::sqlite3_busy_handler(handle_.get(), nullptr, nullptr);
    ::sqlite3_wal_checkpoint_v2(handle_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    const bool done = checkpoint();
    ::sqlite3_busy_handler(handle_.get(), wait_while_busy, nullptr);
    if (done || Clock::now() >= end) return done;
    check_interrupt();
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace reef::io
