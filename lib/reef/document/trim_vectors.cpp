#include "reef/document/trim_vectors.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/sqlite_mode.h"

namespace reef::document {
namespace {

namespace fs = std::filesystem;

/// Vectors of one model that were used last on one day.
struct Day {
  std::int64_t day = 0;
  fs::path file;
  std::uint64_t rows = 0;
  std::uint64_t row_bytes = 0;
};

std::uint64_t size_of(const fs::path& path) {
  std::uint64_t bytes = 0;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code error;
    const auto size = fs::file_size(path.string() + suffix, error);
    if (!error) bytes += size;
  }
  return bytes;
}

class Trimmer {
 public:
  Trimmer(const fs::path& folder, model::CacheTrim& trim) : trim_(trim) {
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".sqlite" && !it->is_symlink()) files_.push_back(it->path());
    std::sort(files_.begin(), files_.end());
  }

  void look() {
    for (const fs::path& file : files_) attempt(file, [&] { look_at(file); });
  }

  /// Removes vectors of about so many bytes.
  void free(std::uint64_t bytes) {
    std::stable_sort(days_.begin(), days_.end(), [](const Day& a, const Day& b) { return a.day < b.day; });
    std::map<fs::path, std::uint64_t> rows;
    std::map<fs::path, std::uint64_t> freed;
    for (const Day& day : days_) {
      if (bytes == 0) break;
      const std::uint64_t count = std::min(day.rows, (bytes + day.row_bytes - 1) / day.row_bytes);
      rows[day.file] += count;
      freed[day.file] += count * day.row_bytes;
      bytes -= std::min(bytes, count * day.row_bytes);
    }
    for (const auto& [file, count] : rows) {
      check_interrupt();
      attempt(file, [&, &file = file, &count = count] { free_in(file, count, freed[file]); });
    }
  }

 private:
  template <class Work>
  void attempt(const fs::path& file, Work work) {
    try {
      work();
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      if (error.code() == Errc::corrupt && !trim_.is_dry_run) {
        const std::uint64_t before = size_of(file);
        try {
          io::empty_database(file);
          note_freed(file, before, "was damaged");
        } catch (const Error& again) {
          if (again.code() == Errc::interrupted) throw;
          trim_.has_failed = true;
          trim_.kept.push_back(
              {"embedding_cache", file.filename().string(), before, std::string("cannot be emptied: ") + again.what()});
        }
      } else {
        trim_.has_failed = trim_.has_failed || error.code() != Errc::corrupt;
        trim_.kept.push_back({"embedding_cache", file.filename().string(), size_of(file),
                              error.code() == Errc::corrupt ? "is damaged, and would be emptied"
                                                            : std::string("cannot be trimmed: ") + error.what()});
      }
    }
  }

  void look_at(const fs::path& file) {
    io::Database database(file, io::mode_to_look(file));
    io::Statement table = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'vectors_used'");
    if (!table.step()) return;  // empty, or not of ours
    io::Statement counts = database.prepare("SELECT used_day, count(*) FROM vectors GROUP BY used_day");
    std::vector<Day> days;
    std::uint64_t rows = 0;
    while (counts.step()) {
      days.push_back({counts.integer(0), file, static_cast<std::uint64_t>(counts.integer(1)), 0});
      rows += days.back().rows;
    }
    for (Day& day : days) day.row_bytes = std::max<std::uint64_t>(1, size_of(file) / rows);
    days_.insert(days_.end(), days.begin(), days.end());
  }

  void free_in(const fs::path& file, std::uint64_t rows, std::uint64_t about_bytes) {
    const std::string name = file.filename().string();
    if (trim_.is_dry_run) {
      trim_.removed.push_back({"embedding_cache", name, about_bytes, "vectors unused for longest, about"});
      return;
    }
    const std::uint64_t before = size_of(file);
    {
      io::Database database(file, io::OpenMode::write);
      database.prepare("DELETE FROM vectors WHERE passage IN (SELECT passage FROM vectors ORDER BY used_day LIMIT ?)")
          .bind(1, static_cast<std::int64_t>(rows))
          .run();
      database.execute("VACUUM");
      database.checkpoint();
    }
    note_freed(file, before, "vectors unused for longest");
  }

  void note_freed(const fs::path& file, std::uint64_t before, const char* why) {
    const std::uint64_t after = size_of(file);
    trim_.removed.push_back({"embedding_cache", file.filename().string(), before > after ? before - after : 0, why});
  }

  model::CacheTrim& trim_;
  std::vector<fs::path> files_;
  std::vector<Day> days_;
};

}  // namespace

void trim_vectors(const tree::Tree& tree, const tree::Config& config, model::CacheTrim& trim) {
  const std::uint64_t cap = config.size_bytes("system", "cache.embedding.cap_bytes");
  Trimmer trimmer(tree.embedding_cache(), trim);
  trimmer.look();
  model::CacheTrim sizes;
  sizes.is_dry_run = trim.is_dry_run;
  sizes.removed = trim.removed;
  model::measure_caches(tree, config, sizes);
  for (const model::CacheFolder& folder : sizes.folders) {
    if (folder.name != "embedding_cache" || sizes.over_bytes(folder) == 0) continue;
    // Down to nine tenths, so that the next run does not have to trim again.
    trimmer.free(sizes.over_bytes(folder) + cap / 10);
  }
}

}  // namespace reef::document
