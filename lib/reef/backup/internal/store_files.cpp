#include "reef/backup/internal/store_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>

#include "reef/backup/what.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr int kTries = 3;
constexpr std::chrono::milliseconds kUntilSettled{25};
constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;  ///< of a file

/// The commit point of a vector store (vector/store.h: table store).
struct Named {
  std::string vectors, codes, index;  ///< names of files; empty: none
  std::uint64_t rows = 0;
  std::uint64_t dim = 0;
};

/// A name out of a database is not trusted to be one of the folder.
std::string file_name(std::string_view text) {
  const bool plain =
      text.find('/') == std::string_view::npos && text.find('\0') == std::string_view::npos && text != "..";
  return plain && text != "." ? std::string(text) : std::string();
}

bool has_table(io::Database& database, const char* name) {
  auto query = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?");
  query.bind(1, name);
  return query.step();
}

bool has_column(io::Database& database, const char* table, const char* column) {
  auto query = database.prepare("SELECT 1 FROM pragma_table_info(?) WHERE name = ?");
  query.bind(1, table).bind(2, column);
  return query.step();
}

std::optional<Named> read_named(io::Database& database) {
  if (!has_table(database, "store")) return std::nullopt;
  const bool with_index = has_column(database, "store", "index_file");  // stores of the first version have none
  auto query =
      database.prepare(fmt::format("SELECT vectors_file, codes_file, rows_total, dim, {} FROM store WHERE id = 1",
                                   with_index ? "index_file" : "''"));
  if (!query.step()) return std::nullopt;
  const std::int64_t rows = query.integer(2);
  const std::int64_t dim = query.integer(3);
  if (rows < 0 || dim < 0 || dim > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  if (rows > 0 && (dim == 0 || static_cast<std::uint64_t>(rows) >
                                   kLargest / (sizeof(float) * static_cast<std::uint64_t>(dim) + sizeof(float))))
    return std::nullopt;
  Named named;
  named.rows = static_cast<std::uint64_t>(rows);
  named.dim = static_cast<std::uint64_t>(dim);
  if (rows > 0) {
    named.vectors = file_name(query.text(0));
    named.codes = file_name(query.text(1));
    named.index = file_name(query.text(4));
  }
  return named;
}

class VectorStore : public StoreFiles {
 public:
  /// False where the database is none of a vector store. Throws as SqliteCapture() does.
  bool open(const CaptureRun& run, const Folder& folder, bool may_rest) {
    for (int i = 0; i < kTries; ++i) {
      capture_ = run.open_database(folder, kDatabase, may_rest);
      const auto named = read_named(capture_->database());
      if (!named) return false;
      rows_ = named->rows;
      files_[0] = {named->vectors, "vectors.npy", sizeof(float) * named->dim, {}};
      files_[1] = {named->codes, "codes.npy", sizeof(float) + named->dim, {}};
      files_[2] = {named->index, "index.bin", 0, {}};
      // Something may not be there: a rebuild removed it since the transaction began, and the next one names others.
      if (open_files(folder)) break;
    }
    return true;
  }

  const std::string& database() const override { return kDatabase; }

  bool put_database(CaptureRun& run, const Folder& folder, const Item& item) override {
    if (run.put_captured(folder, item, *capture_) == Outcome::changed) {
      for (File& file : files_) file = {};
      try {
        if (!open(run, folder, false) || run.put_captured(folder, item, *capture_) == Outcome::changed) return false;
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt && error.code() != Errc::locked && error.code() != Errc::not_found) throw;
        return false;
      }
    }
    capture_.reset();
    if (files_[0].is_absent) tell_missing(run, folder, files_[0]);  // the others are derived
    return true;
  }

  std::vector<Item> more() const override {
    std::vector<Item> items;
    for (const File& file : files_)
      if (file.open.fd) items.push_back(file.open.item);
    return items;
  }

  bool put(CaptureRun& run, const Folder& folder, const Item& item) override {
    for (File& file : files_) {
      if (file.name.empty()) continue;
      if (item.name == file.name) {
        if (!file.open.fd) return false;  // whoever puts it as any other file says why it cannot be opened
        const auto outcome = file.row_bytes == 0
                                 ? run.put_open(folder, std::move(file.open))
                                 : run.put_rows(folder, std::move(file.open), rows_, file.row_bytes, false);
        file.was_put = outcome == Outcome::put;
        return outcome != Outcome::changed;
      }
      if (item.name == file.plain) {
        if (file.was_put) put_plain_name(run, folder, item, file);
        return file.was_put;
      }
    }
    // Of another generation, or without rows.
    return is_generation(item.name);
  }

 private:
  struct File {
    std::string name;
    const char* plain = "";
    std::uint64_t row_bytes = 0;  ///< 0: of an index, which is written once
    OpenItem open;
    bool was_put = false;
    bool is_absent = false;
  };

  static bool is_generation(const std::string& name) {
    for (const char* const stem : {"vectors.", "codes.", "index."})
      if (name.starts_with(stem) && name[std::string_view(stem).size()] >= '0' &&
          name[std::string_view(stem).size()] <= '9' && part_of("vectors/shared/" + name) == Part::store)
        return true;
    return false;
  }

  /// Where hard links are refused the plain names are symbolic ones.
  static void put_plain_name(CaptureRun& run, const Folder& folder, const Item& item, const File& file) {
    if (S_ISLNK(item.status.st_mode))
      run.put_link(folder, item, file.name);
    else
      run.put_hard_link(folder, item, folder.path_of(file.name));
  }

  static void tell_missing(CaptureRun& run, const Folder& folder, const File& file) {
    const std::string path = folder.path_of(file.name);
    run.damage(path, Error(Errc::corrupt,
                           fmt::format("{} is missing, and the store's metadata.sqlite names it", io::shown(path)),
                           "'reef-index verify' says how the store comes back"));
  }

  bool open_files(const Folder& folder) {
    bool all = true;
    for (File& file : files_) {
      if (file.name.empty()) continue;
      file.open = open_item(folder, file.name);
      file.is_absent = file.open.error == ENOENT;
      all &= !file.is_absent;
    }
    return all;
  }

  inline static const std::string kDatabase = "metadata.sqlite";
  std::unique_ptr<io::SqliteCapture> capture_;
  std::uint64_t rows_ = 0;
  std::array<File, 3> files_;
};

/// Which numbering of rows embeddings.npy has (memory/embeddings_file.h).
struct Numbering {
  std::int64_t serial = 0, written = 0;
  std::uint64_t rows = 0, dim = 0;
};

std::optional<Numbering> read_numbering(io::Database& database) {
  if (!has_table(database, "vector_state")) return std::nullopt;
  auto query = database.prepare("SELECT serial, written, file_rows, dim FROM vector_state");
  if (!query.step() || query.integer(2) < 0 || query.integer(3) < 0 ||
      query.integer(3) > std::numeric_limits<std::int32_t>::max())
    return std::nullopt;
  Numbering found{query.integer(0), query.integer(1), static_cast<std::uint64_t>(query.integer(2)),
                  static_cast<std::uint64_t>(query.integer(3))};
  if (found.dim > 0 && found.rows > kLargest / (sizeof(float) * found.dim)) return std::nullopt;
  return found;
}

class MemoryStore : public StoreFiles {
 public:
  /// False where the database keeps no numbering. Throws as SqliteCapture() does.
  bool open(const CaptureRun& run, const Folder& folder, bool may_rest) {
    capture_ = run.open_database(folder, kDatabase, may_rest);
    captured_ = read_numbering(capture_->database());
    return captured_.has_value();
  }

  const std::string& database() const override { return kDatabase; }

  bool put_database(CaptureRun& run, const Folder& folder, const Item& item) override {
    if (run.put_captured(folder, item, *capture_) == Outcome::changed) {
      try {
        if (!open(run, folder, false) || run.put_captured(folder, item, *capture_) == Outcome::changed) return false;
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt && error.code() != Errc::locked && error.code() != Errc::not_found) throw;
        return false;
      }
    }
    capture_.reset();
    return true;
  }

  bool put(CaptureRun& run, const Folder& folder, const Item& item) override {
    if (item.name != kEmbeddings) return false;
    for (int i = 0; i < kTries && captured_->written == captured_->serial && captured_->dim > 0; ++i) {
      OpenItem file = open_item(folder, item.name);
      if (!file.fd) return file.error == ENOENT;
      // A file that was opened between two looks that find the same numbering has that one.
      if (!is_numbered_so_still(run, folder)) break;
      if (run.put_rows(folder, std::move(file), captured_->rows, sizeof(float) * captured_->dim, true) == Outcome::put)
        return true;
      std::this_thread::sleep_for(kUntilSettled);
    }
    log_detail("{} is not in the snapshot: it is being written, and is made again from {}",
               io::shown(folder.path_of(item.name)), kDatabase);
    return true;
  }

 private:
  bool is_numbered_so_still(const CaptureRun& run, const Folder& folder) const {
    try {
      const auto now = read_numbering(run.open_database(folder, kDatabase, true)->database());
      return now && now->serial == captured_->serial && now->written == captured_->written;
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      return false;
    }
  }

  inline static const std::string kDatabase = "memories.sqlite";
  inline static const std::string kEmbeddings = "embeddings.npy";
  std::unique_ptr<io::SqliteCapture> capture_;
  std::optional<Numbering> captured_;
};

template <typename Store>
std::unique_ptr<StoreFiles> open_store(const CaptureRun& run, const Folder& folder) {
  try {
    auto store = std::make_unique<Store>();
    if (store->open(run, folder, true)) return store;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    // Whoever puts the database as any other says what is wrong with it.
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<StoreFiles> vector_store_in(const CaptureRun& run, const Folder& folder) {
  return open_store<VectorStore>(run, folder);
}

std::unique_ptr<StoreFiles> memory_store_in(const CaptureRun& run, const Folder& folder) {
  return open_store<MemoryStore>(run, folder);
}

}  // namespace reef::backup::internal
