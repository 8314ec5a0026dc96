#include "reef/document/embedding_cache.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/time.h"

namespace reef::document {
namespace {

constexpr const char* kMigrations[] = {R"sql(
CREATE TABLE vectors (
  passage BLOB PRIMARY KEY,
  vector BLOB NOT NULL,
  used_day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX vectors_used ON vectors(used_day);
)sql"};

std::int64_t today() { return std::chrono::floor<std::chrono::days>(now()).time_since_epoch().count(); }

std::uint64_t size_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

EmbeddingCache::EmbeddingCache(const std::filesystem::path& folder, const std::string& model_digest, std::size_t dim)
    : path_(folder / (model_digest + ".sqlite")), dim_(dim) {
  open();
}

/// Does `work` with the database; a damaged one is made again, for the calls to come.
template <typename Work>
void EmbeddingCache::attempt(const char* what, Work work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    if (error.code() == Errc::corrupt && !made_again_)
      make_again(error);
    else
      give_up(what, error);
  }
}

void EmbeddingCache::open() {
  attempt("open", [&] {
    database_ = io::Database(path_, io::OpenMode::create);
    io::migrate(database_, kMigrations);
    // With the write-ahead log, this waits for the disk at checkpoints only, and a power cut loses
    // the newest vectors but damages none.
    database_.execute("PRAGMA synchronous = NORMAL");
    usable_ = true;
  });
}

void EmbeddingCache::make_again(const std::exception& damage) {
  log_warn("embedding cache: {}; it is made again, which costs time and nothing else", damage.what());
  usable_ = false;
  made_again_ = true;
  database_ = {};
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(path_.string() + suffix, ignored);
  }
  open();
}

void EmbeddingCache::give_up(const char* what, const std::exception& error) {
  usable_ = false;
  database_ = {};
  log_detail("embedding cache: cannot {}: {}; going on without it", what, error.what());
}

std::vector<bool> EmbeddingCache::find(std::span<const PassageHash> passages, std::span<float> vectors) {
  std::vector<bool> known(passages.size());
  if (!usable_) return known;
  attempt("read", [&] {
    io::Transaction transaction(database_);
    auto select = database_.prepare("SELECT vector, used_day FROM vectors WHERE passage = ?");
    auto touch = database_.prepare("UPDATE vectors SET used_day = ? WHERE passage = ?");
    for (std::size_t i = 0; i < passages.size(); ++i) {
      select.bind_blob(1, passages[i]);
      const auto vector = vectors.subspan(i * dim_, dim_);
      if (select.step() && select.blob(0).size() == vector.size_bytes()) {
        std::memcpy(vector.data(), select.blob(0).data(), vector.size_bytes());
        known[i] = vector::is_unit(vector);
        if (known[i] && select.integer(1) != today()) touch.bind(1, today()).bind_blob(2, passages[i]).run();
      }
      select.reset();
    }
    transaction.commit();
  });
  return known;
}

void EmbeddingCache::add(std::span<const PassageHash> passages, std::span<const float> vectors,
                         const std::vector<bool>& known) {
  if (!usable_) return;
  attempt("write", [&] {
    io::Transaction transaction(database_);
    auto insert = database_.prepare("INSERT OR REPLACE INTO vectors (passage, vector, used_day) VALUES (?, ?, ?)");
    for (std::size_t i = 0; i < passages.size(); ++i) {
      if (known[i]) continue;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(vectors.data() + i * dim_);
      insert.bind_blob(1, passages[i]).bind_blob(2, {bytes, dim_ * sizeof(float)}).bind(3, today()).run();
    }
    transaction.commit();
  });
}

void EmbeddingCache::trim(std::uint64_t cap_bytes) {
  if (!usable_) return;
  attempt("trim", [&] {
    database_.checkpoint();
    if (cap_bytes == 0 || size_of(path_) <= cap_bytes) return;
    // Down to nine tenths, so that the next run does not have to trim again.
    const auto row_bytes = static_cast<std::int64_t>(dim_ * sizeof(float) + 64);
    const auto over = static_cast<std::int64_t>(size_of(path_) - cap_bytes / 10 * 9);
    database_.prepare("DELETE FROM vectors WHERE passage IN (SELECT passage FROM vectors ORDER BY used_day LIMIT ?)")
        .bind(1, over / row_bytes + 1)
        .run();
    database_.execute("VACUUM");
    database_.checkpoint();
  });
}

void forget_passages(const std::filesystem::path& folder, std::span<const std::string> texts) {
  if (texts.empty()) return;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    if (entry.path().extension() != ".sqlite") continue;
    try {
      io::Database database(entry.path(), io::OpenMode::write);
      io::require_version(database, static_cast<int>(std::size(kMigrations)));
      io::Transaction transaction(database);
      auto remove = database.prepare("DELETE FROM vectors WHERE passage = ?");
      for (const std::string& text : texts) remove.bind_blob(1, passage_hash(text)).run();
      transaction.commit();
      database.checkpoint();
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      log_detail("embedding cache: cannot forget in {}: {}", entry.path().string(), error.what());
    }
  }
}

}  // namespace reef::document
