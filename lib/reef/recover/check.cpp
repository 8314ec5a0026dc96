#include "reef/recover/check.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/io/mapped_file.h"
#include "reef/io/sqlite_mode.h"
#include "reef/vector/npy.h"
#include "reef/vector/store.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;
using backup::Counts;
using backup::Entry;
using backup::EntryType;

constexpr const char* kOther =
    "restore another snapshot ('reef-backup list' shows them, '--at TIME' takes one), and verify this one";
constexpr std::string_view kStoreDatabase = "metadata.sqlite";

bool is_database(const Entry& entry) { return entry.path.ends_with(".sqlite"); }
bool is_vectors(const Entry& entry) { return entry.path.ends_with(".npy"); }
/// The store of a scope or of conversations' turns: its folder holds vectors beside their metadata.
bool is_store(const Entry& entry) {
  return entry.path.starts_with("vectors/") && fs::path(entry.path).filename() == kStoreDatabase;
}
/// What reef makes again from files that are no copies of it (reef-tree(5)).
bool is_derived(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  return path.starts_with("vectors/") && (name.starts_with("codes.") || name.starts_with("index.") ||
                                          name == "id_mapping.json" || name == "config.json");
}

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

class Checker {
 public:
  Checker(const fs::path& folder, const Entries& entries, Progress& progress)
      : folder_(folder), entries_(entries), progress_(progress) {}

  CheckReport run(unsigned threads) {
    std::vector<const Entries::value_type*> opened;
    for (const auto& recorded : entries_) {
      check_interrupt();
      if (!check_there(recorded.first) || recorded.first.type != EntryType::file) continue;
      const Entry& entry = recorded.first;
      if (is_database(entry) || (is_vectors(entry) && !recorded.second.empty())) opened.push_back(&recorded);
    }
    // The largest first, so that no thread is left with one of them at the end.
    std::stable_sort(opened.begin(), opened.end(),
                     [](const auto* a, const auto* b) { return a->first.size_bytes > b->first.size_bytes; });
    progress_.begin("checking", opened.size(), ProgressUnit::items);
    std::size_t told = 0;
    share_work(
        threads, opened.size(), [&](std::size_t, std::size_t i) { check_opened(*opened[i]); },
        [&] {
          const std::lock_guard lock(mutex_);
          progress_.advance(done_ - told);
          told = done_;
        });
    progress_.end();
    std::sort(report_.faults.begin(), report_.faults.end(), [](const CheckFault& a, const CheckFault& b) {
      return std::tie(a.file, a.what) < std::tie(b.file, b.what);
    });
    return std::move(report_);
  }

 private:
  void add(const std::string& file, std::string what, std::string next_step, bool derived) {
    const std::lock_guard lock(mutex_);
    report_.faults.push_back({file, std::move(what), std::move(next_step), derived});
  }
  void add(const Entry& entry, std::string what) { add(entry.path, std::move(what), kOther, is_derived(entry.path)); }

  bool check_there(const Entry& entry) {
    struct stat status {};
    if (::lstat((folder_ / entry.path).c_str(), &status) != 0) {
      add(entry, "is not there");
      return false;
    }
    const mode_t wanted = entry.type == EntryType::file ? S_IFREG : entry.type == EntryType::folder ? S_IFDIR : S_IFLNK;
    if ((status.st_mode & S_IFMT) != wanted) {
      add(entry, "is of another type than in the snapshot");
      return false;
    }
    if (entry.type != EntryType::file) return true;
    ++report_.files;
    if (!entry.same_file_as.empty()) return true;
    report_.bytes += static_cast<std::uint64_t>(status.st_size);
    if (static_cast<std::uint64_t>(status.st_size) != entry.size_bytes) {
      add(entry, fmt::format("has {} bytes, {} in the snapshot", status.st_size, entry.size_bytes));
      return false;
    }
    return true;
  }

  void check_opened(const Entries::value_type& recorded) {
    const auto& [entry, counts] = recorded;
    try {
      if (is_database(entry))
        check_database(entry, counts);
      else
        check_rows(entry, counts);
    } catch (const Error& error) {
      // A full or failing drive says nothing of what was restored to it.
      if (error.code() != Errc::corrupt && error.code() != Errc::not_found && error.code() != Errc::usage) throw;
      add(entry, error.what());
    }
    const std::lock_guard lock(mutex_);
    ++done_;
  }

  void check_database(const Entry& entry, const Counts& counts) {
    const fs::path path = folder_ / entry.path;
    io::Database database(path, io::mode_to_look(path));
    if (const std::string broken = database.integrity(); !broken.empty()) {
      add(entry, "SQLite: " + broken);
      return;
    }
    std::uint64_t rows = 0;
    for (const auto& [table, count] : counts) {
      auto query = database.prepare(fmt::format("SELECT count(*) FROM {}", quoted(table)));
      query.step();
      const auto found = static_cast<std::uint64_t>(query.integer(0));
      if (found != count) add(entry, fmt::format("table {} has {} rows, {} when it was captured", table, found, count));
      rows += count;
    }
    {
      const std::lock_guard lock(mutex_);
      ++report_.databases;
      report_.rows += rows;
    }
    if (is_store(entry)) check_store(entry, database);
  }

  void check_rows(const Entry& entry, const Counts& counts) {
    const io::MappedFile file(folder_ / entry.path);
    const vector::NpyHeader header = vector::parse_npy_header(file.bytes(), entry.path);
    const std::uint64_t found = header.shape.empty() ? 0 : header.shape[0];
    for (const auto& [what, count] : counts) {
      if (what != "rows") continue;
      if (found != count) add(entry, fmt::format("has {} rows, {} when it was captured", found, count));
      const std::lock_guard lock(mutex_);
      report_.rows += count;
    }
  }

  void check_store(const Entry& entry, io::Database& database) {
    const fs::path inside = fs::path(entry.path).parent_path();
    for (const vector::StoreFault& fault : vector::verify_store(folder_ / inside, database)) {
      const std::string name = fs::path(fault.file).filename().string();
      const std::string file = (inside / name).string();
      add(file, fault.what, fault.mends_itself ? "the next run that writes there mends it" : fault.next_step,
          fault.mends_itself || is_derived(file));
    }
    io::Transaction transaction(database, io::Transaction::Kind::read);
    vector::StoreReader reader = vector::open_reader(folder_ / inside, database, transaction);
    if (reader.empty()) return;
    if (const auto lost = unanswered(reader)) {
      add(entry.path, fmt::format("a search for its own row {} does not find it", *lost), "run 'reef-index build'",
          true);
      return;
    }
    const std::lock_guard lock(mutex_);
    ++report_.indexes;
  }

  /// A row that a search for it does not find first, or one as near.
  static std::optional<std::uint64_t> unanswered(vector::StoreReader& reader) {
    const std::uint64_t total = reader.state().rows_total;
    const auto dead = reader.dead();
    for (const std::uint64_t wanted : {std::uint64_t{0}, total / 2, total - 1}) {
      std::uint64_t row = wanted;
      while (row < total && std::binary_search(dead.begin(), dead.end(), row)) ++row;
      if (row == total) continue;
      vector::SearchOptions options;
      options.always_index = true;
      constexpr float kSame = .999F;
      const auto hits = reader.search(reader.row(row), 1, options);
      if (hits.empty() || hits.front().score < kSame) return row;
    }
    return std::nullopt;
  }

  const fs::path& folder_;
  const Entries& entries_;
  Progress& progress_;
  std::mutex mutex_;
  std::size_t done_ = 0;
  CheckReport report_;
};

}  // namespace

bool CheckReport::is_sound() const {
  return std::all_of(faults.begin(), faults.end(), [](const CheckFault& fault) { return fault.is_derived; });
}

CheckReport check(const fs::path& folder, const Entries& entries, unsigned threads, Progress& progress) {
  return Checker(folder, entries, progress).run(std::max(threads, 1U));
}

}  // namespace reef::recover
