#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/database_image.h"
#include "reef/io/internal/sqlite_error.h"
#include "reef/io/internal/sqlite_open.h"

namespace reef::io::internal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kLockByte = 0x40000000;  ///< the page that holds it is never written
constexpr std::size_t kMostAtOnce = 1 << 30;

/// A read transaction, and the files behind it through SQLite's own descriptors.
class Live : public DatabaseImage {
 public:
  Live(fs::path path, std::chrono::milliseconds patience) : path_(std::move(path)), patience_(patience) {
    open();
    begin();
    DatabaseHeader header{};
    file_ = file_of(SQLITE_FCNTL_FILE_POINTER);
    sqlite3_int64 bytes = 0;
    check(file_->pMethods->xFileSize(file_, &bytes), "look at");
    size_ = static_cast<std::uint64_t>(bytes);
    if (size_ == 0 && !has_log_) return;  // an empty file is an empty database
    if (has_log_) {
      begin_with_log();
    } else {
      read_file(0, header);
      require_whole(path_, header, size_);
    }
  }
  ~Live() override {
    // A COMMIT of a read transaction that fails leaves it to the end of the connection.
    ::sqlite3_exec(database_.handle(), "COMMIT", nullptr, nullptr, nullptr);
  }

  bool keeps_writers_waiting() const override { return !has_log_; }
  std::uint64_t size_bytes() const override { return size_; }
  Database& database() override { return database_; }
  bool still_holds() const override { return !cut_; }

  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    const std::uint64_t end = offset + into.size();
    for (std::uint64_t at = offset; at < end;) {
      const auto rest = into.subspan(at - offset);
      const auto frame =
          overlay_.size() == 0 ? std::nullopt : overlay_.next(static_cast<std::uint32_t>(at / page_size_ + 1));
      const std::uint64_t page_at = frame ? (frame->first - std::uint64_t{1}) * page_size_ : end;
      if (at < page_at) {  // as the file has it
        const auto part = rest.first(std::min<std::uint64_t>(std::min(end, page_at) - at, kMostAtOnce));
        read_file(at, part);
        at += part.size();
      } else {
        const std::uint64_t within = at - page_at;
        const auto part = rest.first(std::min(rest.size(), static_cast<std::size_t>(page_size_ - within)));
        read_log(frame->second + within, part);
        at += part.size();
      }
    }
  }

 private:
  static int wait_while_busy(void* live, int calls) {
    auto& self = *static_cast<Live*>(live);
    if (calls == 0) self.waiting_since_ = Clock::now();
    if (pending_signal != 0 || Clock::now() - self.waiting_since_ >= self.patience_) return 0;
    ::sqlite3_sleep(std::min(calls + 1, 25));
    return 1;
  }

  void open() {
    // For writing, where that is allowed: a connection for reading cannot always set up the -shm, nor recover a log
    // that a killed process left. SQLite itself falls back to reading.
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW;
    database_ = Database(path_.string(), open_handle(plain_name(path_), kFlags, shown(path_)));
    ::sqlite3_busy_handler(database_.handle(), wait_while_busy, this);
    // Were we the last to close it, SQLite would checkpoint and delete the log: writes that are not ours to do.
    ::sqlite3_db_config(database_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    database_.execute("PRAGMA query_only=ON; PRAGMA mmap_size=0");
  }

  void begin() {
    database_.execute("BEGIN");
    database_.execute("SELECT 1 FROM sqlite_schema LIMIT 1");  // BEGIN alone begins nothing
    Statement mode = database_.prepare("PRAGMA journal_mode");
    has_log_ = mode.step() && mode.text(0) == "wal";
  }

  void check(int code, const char* action) const {
    if (code != SQLITE_OK) throw_sqlite(nullptr, code, action, shown(path_));
  }

  sqlite3_file* file_of(int which) {
    sqlite3_file* file = nullptr;
    check(::sqlite3_file_control(database_.handle(), "main", which, &file), "look at");
    return file;
  }

  /// sqlite.org/walformat.html, section 2.1: two copies of the header, then what checkpoints note; native byte order.
  struct IndexHeader {
    std::uint32_t version, unused, change;
    std::uint8_t initialised, big_endian_sums;
    std::uint16_t page_size;
    std::uint32_t last_frame, pages;
    std::array<std::uint32_t, 2> frame_checksum;
    std::array<std::uint8_t, 8> salts;
    std::array<std::uint32_t, 2> checksum;
  };
  static_assert(sizeof(IndexHeader) == 48);
  using IndexWords = std::array<std::uint32_t, 12>;
  static constexpr std::size_t kBackfilledWord = 24;

  std::uint32_t index_word(std::size_t i) const { return __atomic_load_n(index_ + i, __ATOMIC_SEQ_CST); }

  /// nullopt while somebody writes it.
  std::optional<IndexWords> index_header() const {
    IndexWords first{};
    IndexWords second{};
    for (std::size_t i = 0; i < first.size(); ++i) first[i] = index_word(i);
    for (std::size_t i = 0; i < second.size(); ++i) second[i] = index_word(first.size() + i);
    if (first != second) return std::nullopt;
    return first;
  }

  /// Begins the transaction anew until it is known what it sees.
  void begin_with_log() {
    constexpr int kRegionBytes = 32768;
    constexpr int kTries = 10'000;
    volatile void* region = nullptr;
    check(file_->pMethods->xShmMap(file_, 0, kRegionBytes, 0, &region), "look at the log of");
    if (region == nullptr) throw Error(Errc::failed, fmt::format("{}: SQLite has no wal-index of it", shown(path_)));
    index_ = static_cast<const volatile std::uint32_t*>(region);
    for (int i = 0; i < kTries; ++i) {
      check_interrupt();
      database_.execute("COMMIT");
      const auto before = index_header();
      database_.execute("BEGIN");
      database_.execute("SELECT 1 FROM sqlite_schema LIMIT 1");
      const std::uint32_t backfilled = index_word(kBackfilledWord);
      const auto after = index_header();
      if (before && before == after) {
        take(*before, backfilled);
        return;
      }
      if (i > 100) std::this_thread::yield();
    }
    throw Error(Errc::locked, fmt::format("{} is written to without a pause", shown(path_)), "run the command again");
  }

  void take(const IndexWords& words, std::uint32_t backfilled) {
    IndexHeader header{};
    std::memcpy(&header, words.data(), sizeof header);
    page_size_ = (header.page_size & 0xfe00U) + ((header.page_size & 1U) << 16);
    WalPosition position;
    position.page_size = page_size_;
    // In a transaction that sees the file alone, the log may be started over from now on.
    position.backfilled = std::min(backfilled, header.last_frame);
    position.last = header.last_frame;
    position.pages = header.pages;
    position.salts = header.salts;
    position.checksum = header.frame_checksum;
    if (position.backfilled < position.last) {
      log_ = file_of(SQLITE_FCNTL_JOURNAL_POINTER);
      overlay_ = WalOverlay([this](std::uint64_t at, std::span<std::uint8_t> into) { read_log(at, into); }, position,
                            shown(path_));
    }
    sqlite3_int64 bytes = 0;
    check(file_->pMethods->xFileSize(file_, &bytes), "look at");
    size_ = static_cast<std::uint64_t>(bytes);
    // A log that was begun and holds nothing yet counts no pages.
    if (header.pages == 0 || page_size_ == 0) return require_whole_file();
    const std::uint64_t said = std::uint64_t{header.pages} * page_size_;
    if (size_ < said) {
      const auto in_file = static_cast<std::uint32_t>(size_ / page_size_);
      const std::uint64_t lock_page = kLockByte / page_size_ + 1;
      const std::uint32_t never_written = lock_page > in_file && lock_page <= header.pages ? 1 : 0;
      if (overlay_.behind(in_file) + never_written < header.pages - in_file) throw_short(path_, size_, said);
    }
    size_ = said;
  }

  void require_whole_file() {
    DatabaseHeader header{};
    if (size_ < header.size()) return;
    read_file(0, header);
    require_whole(path_, header, size_);
  }

  void read_through(sqlite3_file* file, std::uint64_t offset, std::span<std::uint8_t> into, bool all) const {
    const int code =
        file->pMethods->xRead(file, into.data(), static_cast<int>(into.size()), static_cast<sqlite3_int64>(offset));
    if (code == SQLITE_IOERR_SHORT_READ && !all) {  // SQLite filled the rest with zeros
      // Nothing but the page that is never written may lie behind the end of the file.
      const std::uint64_t end = offset + into.size();
      if (page_size_ == 0 || end <= kLockByte || offset >= kLockByte + page_size_) cut_ = true;
      return;
    }
    check(code, "read");
  }
  void read_file(std::uint64_t offset, std::span<std::uint8_t> into) const { read_through(file_, offset, into, false); }
  void read_log(std::uint64_t offset, std::span<std::uint8_t> into) const { read_through(log_, offset, into, true); }

  fs::path path_;
  std::chrono::milliseconds patience_;
  Clock::time_point waiting_since_;
  Database database_;
  bool has_log_ = false;
  sqlite3_file* file_ = nullptr;
  sqlite3_file* log_ = nullptr;
  const volatile std::uint32_t* index_ = nullptr;
  std::uint32_t page_size_ = 0;
  std::uint64_t size_ = 0;
  WalOverlay overlay_;
  mutable std::atomic<bool> cut_ = false;
};

}  // namespace

std::unique_ptr<DatabaseImage> open_live(const fs::path& path, std::chrono::milliseconds patience) {
  return std::make_unique<Live>(path, patience);
}

}  // namespace reef::io::internal
