#pragma once

#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <new>
#include <random>
#include <stdexcept>
#include <string>

namespace reef::test {

/// A database whose counter row says how many rows its other tables have: a copy that mixes two commits may be sound to
/// SQLite, and the counter tells all the same.
class RowCounter {
 public:
  static void execute(sqlite3* db, const std::string& sql) {
    char* message = nullptr;
    const int code = ::sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message);
    const std::string what = message == nullptr ? "" : message;
    ::sqlite3_free(message);
    if (code != SQLITE_OK) throw std::runtime_error(sql + ": " + what);
  }

  static void make(const std::filesystem::path& path, const std::string& pragmas, int rows) {
    sqlite3* db = nullptr;
    ::sqlite3_open(path.c_str(), &db);
    execute(db, pragmas +
                    ";CREATE TABLE counter(n INT); CREATE TABLE message(id INTEGER PRIMARY KEY, body TEXT);"
                    "CREATE INDEX by_body ON message(body); CREATE TABLE log(message INT, note TEXT);"
                    "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM k WHERE i<" +
                    std::to_string(rows) +
                    ") INSERT INTO message(body) SELECT hex(randomblob(400)) FROM k;"
                    "INSERT INTO log SELECT id, 'made' FROM message; INSERT INTO counter SELECT count(*) FROM message");
    ::sqlite3_close(db);
  }

  /// "" for a copy that is sound and of one commit, else what is wrong.
  static std::string fault(const std::filesystem::path& path) {
    sqlite3* db = nullptr;
    sqlite3_stmt* query = nullptr;
    std::string result = "not opened";
    if (::sqlite3_open(path.c_str(), &db) == SQLITE_OK &&
        ::sqlite3_prepare_v2(db,
                             "SELECT (SELECT integrity_check FROM pragma_integrity_check LIMIT 1), (SELECT count(*) "
                             "FROM message), (SELECT count(*) FROM log), (SELECT n FROM counter)",
                             -1, &query, nullptr) == SQLITE_OK &&
        ::sqlite3_step(query) == SQLITE_ROW) {
      result.clear();
      const auto* said = reinterpret_cast<const char*>(::sqlite3_column_text(query, 0));
      if (said == nullptr || std::string(said) != "ok") result = said == nullptr ? "not checked" : said;
      for (int i = 1; i < 3; ++i)
        if (::sqlite3_column_int(query, i) != ::sqlite3_column_int(query, 3)) result += " half a commit";
    } else {
      result = ::sqlite3_errmsg(db);
    }
    ::sqlite3_finalize(query);
    ::sqlite3_close(db);
    return result;
  }
};

/// A process that commits to such a database until the end of the scope, at full speed or at a rate, and waits for
/// nobody: its busy timeout is zero.
class RowWriter {
 public:
  explicit RowWriter(std::filesystem::path path, unsigned commits_per_second = 0) {
    void* const shared = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::runtime_error("mmap failed");
    report_ = new (shared) Report;
    writer_ = ::fork();
    if (writer_ < 0) throw std::runtime_error("fork failed");
    if (writer_ == 0) {
      try {
        write(path.c_str(), commits_per_second);
      } catch (const std::exception&) {
        ++report_->failures;
      }
      ::_exit(0);
    }
    while (report_->commits == 0 && report_->failures == 0) ::usleep(1000);
  }
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;
  ~RowWriter() {
    stop();
    ::munmap(report_, sizeof(Report));
  }

  void stop() {
    if (writer_ <= 0) return;
    report_->stop = true;
    ::waitpid(writer_, nullptr, 0);
    writer_ = 0;
  }
  std::uint64_t commits() const { return report_->commits; }
  /// Of statements that were refused, as because somebody held a lock.
  std::uint64_t failures() const { return report_->failures; }
  std::uint64_t slowest_us() const { return report_->slowest_us; }

 private:
  struct Report {
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> commits = 0, failures = 0, slowest_us = 0;
  };
  using Clock = std::chrono::steady_clock;

  void write(const char* path, unsigned commits_per_second) {
    sqlite3* db = nullptr;
    ::sqlite3_open(path, &db);
    // Checkpoints often, so that logs are started over in the middle of captures.
    RowCounter::execute(db, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=200");
    std::mt19937 random(1);
    const auto number = [&](unsigned below) { return std::to_string(random() % below); };
    const auto begun = Clock::now();
    while (!report_->stop) {
      const std::string sql = "BEGIN IMMEDIATE; INSERT INTO message(body) VALUES(hex(randomblob(" + number(900) +
                              "))),(hex(randomblob(50))); INSERT INTO log SELECT max(id), 'a' FROM message;"
                              "INSERT INTO log SELECT max(id), 'b' FROM message;"
                              "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE id>" +
                              number(4000) +
                              " LIMIT 2); DELETE FROM log WHERE rowid IN (SELECT rowid FROM log LIMIT changes());"
                              "UPDATE counter SET n=(SELECT count(*) FROM log);"
                              "UPDATE message SET body=hex(randomblob(200)) WHERE id=" +
                              number(4000) + "; COMMIT";
      const auto start = Clock::now();
      if (::sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
        ++report_->failures;
        ::sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
      }
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
      if (static_cast<std::uint64_t>(took) > report_->slowest_us)
        report_->slowest_us = static_cast<std::uint64_t>(took);
      ++report_->commits;
      if (commits_per_second != 0) {
        const auto wait =
            begun + std::chrono::microseconds(report_->commits * 1'000'000 / commits_per_second) - Clock::now();
        if (wait.count() > 0)
          ::usleep(static_cast<unsigned>(std::chrono::duration_cast<std::chrono::microseconds>(wait).count()));
      }
    }
    ::sqlite3_close(db);
  }

  Report* report_ = nullptr;
  pid_t writer_ = 0;
};

}  // namespace reef::test
