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
  for (int attempt = 0; attempt < 2 && !usable_; ++attempt) {
    try {
      database_ = io::Database(path_, io::OpenMode::create);
      io::migrate(database_, kMigrations);
      // Losing the newest vectors in a crash costs a second embedding, an fsync a batch costs more.
      database_.execute("PRAGMA synchronous = OFF");
      usable_ = true;
    } catch (const Error& error) {
      database_ = {};
      if (error.code() == Errc::interrupted) throw;
      if (error.code() != Errc::corrupt || attempt > 0) {
        give_up("open", error);
        return;
      }
      for (const char* suffix : {"", "-wal", "-shm"}) {
        std::error_code ignored;
        std::filesystem::remove(path_.string() + suffix, ignored);
      }
    }
  }
}

void EmbeddingCache::give_up(const char* what, const std::exception& error) {
  usable_ = false;
  log_detail("embedding cache: cannot {}: {}; going on without it", what, error.what());
}

std::vector<bool> EmbeddingCache::find(std::span<const PassageHash> passages, std::span<float> vectors) {
  std::vector<bool> known(passages.size());
  if (!usable_) return known;
  try {
    io::Transaction transaction(database_);
    auto select = database_.prepare("SELECT vector, used_day FROM vectors WHERE passage = ?");
    auto touch = database_.prepare("UPDATE vectors SET used_day = ? WHERE passage = ?");
    for (std::size_t i = 0; i < passages.size(); ++i) {
      select.bind_blob(1, passages[i]);
      if (select.step() && select.blob(0).size() == dim_ * sizeof(float)) {
        std::memcpy(vectors.data() + i * dim_, select.blob(0).data(), dim_ * sizeof(float));
        known[i] = true;
        if (select.integer(1) != today()) touch.bind(1, today()).bind_blob(2, passages[i]).run();
      }
      select.reset();
    }
    transaction.commit();
  } catch (const Error& error) {
    give_up("read", error);
  }
  return known;
}

void EmbeddingCache::add(std::span<const PassageHash> passages, std::span<const float> vectors,
                         const std::vector<bool>& known) {
  if (!usable_) return;
  try {
    io::Transaction transaction(database_);
    auto insert = database_.prepare("INSERT OR IGNORE INTO vectors (passage, vector, used_day) VALUES (?, ?, ?)");
    for (std::size_t i = 0; i < passages.size(); ++i) {
      if (known[i]) continue;
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(vectors.data() + i * dim_);
      insert.bind_blob(1, passages[i]).bind_blob(2, {bytes, dim_ * sizeof(float)}).bind(3, today()).run();
    }
    transaction.commit();
  } catch (const Error& error) {
    give_up("write", error);
  }
}

void EmbeddingCache::trim(std::uint64_t cap_bytes) {
  if (!usable_) return;
  try {
    database_.checkpoint();
    if (size_of(path_) <= cap_bytes) return;
    // Down to nine tenths, so that the next run does not have to trim again.
    const auto row_bytes = static_cast<std::int64_t>(dim_ * sizeof(float) + 64);
    const auto over = static_cast<std::int64_t>(size_of(path_) - cap_bytes / 10 * 9);
    database_.prepare("DELETE FROM vectors WHERE passage IN (SELECT passage FROM vectors ORDER BY used_day LIMIT ?)")
        .bind(1, over / row_bytes + 1)
        .run();
    database_.execute("VACUUM");
    database_.checkpoint();
  } catch (const Error& error) {
    give_up("trim", error);
  }
}

}  // namespace reef::document
