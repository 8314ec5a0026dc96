#include <fmt/format.h>
#include <sqlite3.h>

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

Transaction::Transaction(Database& database, Kind kind) : database_(&database) {
  // BEGIN alone takes no snapshot before the first read: what a reader then finds would depend on
  // when it looks. IMMEDIATE: a write that starts as a read cannot wait for another writer.
  database.execute(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
  if (kind == Kind::read) {
    try {
      database.execute("SELECT 1 FROM sqlite_schema LIMIT 1");
    } catch (...) {
      ::sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
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

void require_version(Database& database, int version) {
  const std::int64_t found = version_of(database);
  if (found > version) throw_newer(database, found, version);
  if (found < version) {
    throw Error(
        Errc::usage,
        fmt::format("{} is of version {}, and this program reads version {}", shown(database.path()), found, version),
        "run a command that writes to it (such as ingest or import) once, which brings it up to date");
  }
}

}  // namespace reef::io
