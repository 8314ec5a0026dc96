#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"

namespace reef::io {
namespace {

std::int64_t version_of(Database& database) {
  Statement query = database.prepare("PRAGMA user_version");
  return query.step() ? query.integer(0) : 0;
}

[[noreturn]] void throw_newer(const Database& database, std::int64_t found, std::int64_t known) {
  throw Error(Errc::usage,
              fmt::format("{} is of version {}, and this program knows versions up to {}", shown(database.path()),
                          found, known),
              "use the version of reef that wrote it, or a newer one");
}

}  // namespace

namespace {

/// BEGIN alone takes no snapshot before the first read: what a reader then finds would depend on when it looks.
void begin_reading(Database& database) {
  database.execute("BEGIN");
  try {
    database.execute("SELECT 1 FROM sqlite_schema LIMIT 1");
  } catch (...) {
    ::sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

}  // namespace

Transaction::Transaction(Database& database, Kind kind) : database_(&database) {
  // IMMEDIATE: a write that starts as a read cannot wait for another writer.
  if (kind == Kind::write)
    database.execute("BEGIN IMMEDIATE");
  else
    begin_reading(database);
}

void Transaction::restart() {
  database_->execute("COMMIT");
  begin_reading(*database_);
}

Transaction::~Transaction() {
  // Full disks, I/O errors and interrupts roll back on their own: autocommit is then on again.
  if (database_ == nullptr || ::sqlite3_get_autocommit(database_->handle()) != 0) return;
  ::sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_->execute("COMMIT");  // a COMMIT that fails leaves the transaction to the destructor
  database_ = nullptr;
}

void migrate(Database& database, std::span<const char* const> migrations) {
  const auto newest = static_cast<std::int64_t>(migrations.size());
  std::int64_t version = version_of(database);
  while (version < newest) {
    Transaction transaction(database);
    // Asked again under the lock: another process may have been faster.
    version = version_of(database);
    if (version >= newest) break;
    database.execute(migrations[static_cast<std::size_t>(version)]);
    database.execute(fmt::format("PRAGMA user_version = {}", ++version));
    transaction.commit();
  }
  if (version > newest) throw_newer(database, version, newest);
}

namespace {

void rename_new(const fs::path& from, const fs::path& to) {
  // Another process may have made it meanwhile; its own is as good.
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0 || errno == EEXIST) return;
  if (errno != EINVAL) throw_errno("rename", shown(to));
  // A filesystem without RENAME_NOREPLACE has hard links.
  if (::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) throw_errno("link", shown(to));
}

void make_whole(const fs::path& path, std::span<const char* const> migrations, const fs::path& staging) {
  if (::mkdir(staging.c_str(), 0750) != 0 && errno != EEXIST) throw_errno("create", shown(staging));
  const fs::path fresh = staging / path.filename();
  {
    Database database(fresh, OpenMode::create);
    migrate(database, migrations);
    // Closing would do it too, but say nothing when the disk is full.
    Statement checkpoint = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
    if (!checkpoint.step() || checkpoint.integer(0) != 0)
      throw Error(Errc::failed, fmt::format("{} could not be written whole", shown(fresh)), "run the command again");
  }
  sync_file(open_file(fresh, O_RDWR | O_CLOEXEC).get(), fresh);
  rename_new(fresh, path);
  sync_directory(path.parent_path());
  std::error_code error;
  fs::remove_all(staging, error);
  if (error) throw Error(Errc::failed, fmt::format("remove {}: {}", shown(staging), error.message()));
}

}  // namespace

namespace {

/// Files of ours are made whole: one without a version lost what it held, and must not be begun anew.
[[noreturn]] void throw_emptied(const Database& database) {
  throw Error(Errc::corrupt, fmt::format("{} is empty, or holds nothing of ours", shown(database.path())),
              "restore it from a backup");
}

}  // namespace

Database open_or_make(const fs::path& path, std::span<const char* const> migrations, const fs::path& staging) {
  std::error_code error;
  if (!fs::exists(path, error)) make_whole(path, migrations, staging);
  Database database(path, OpenMode::write);
  if (version_of(database) == 0) throw_emptied(database);
  migrate(database, migrations);
  return database;
}

void require_version(Database& database, int version) {
  const std::int64_t found = version_of(database);
  if (found == 0) throw_emptied(database);
  if (found > version) throw_newer(database, found, version);
  if (found < version) {
    throw Error(
        Errc::usage,
        fmt::format("{} is of version {}, and this program reads version {}", shown(database.path()), found, version),
        "run a command that writes to it (such as ingest or import) once, which brings it up to date");
  }
}

}  // namespace reef::io
