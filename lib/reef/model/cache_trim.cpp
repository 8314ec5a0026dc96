#include "reef/model/cache_trim.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/internal/cache_folder.h"
#include "reef/model/internal/model_cache.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::FolderEntry;
using internal::ModelCache;

constexpr const char* kModels = "model_cache";
constexpr const char* kInference = "inference_cache";
constexpr const char* kEmbedding = "embedding_cache";
constexpr auto kForgotten = std::chrono::hours(24);

std::string names_of(const ModelCache::Entry& entry) {
  return entry.models.empty() ? entry.name() : fmt::format("{}", fmt::join(entry.models, ", "));
}

enum class Removal { done, stays, failed };

/// Tells what stays and why; not of a leftover that is in use.
Removal remove(const char* cache, const fs::path& folder, const FolderEntry& entry, CacheTrim& trim,
               std::chrono::milliseconds kept_for) {
  check_interrupt();
  CacheItem item{cache, entry.path.lexically_relative(folder).string(), entry.bytes, ""};
  try {
    if (now() - entry.used < kept_for)
      item.why = fmt::format("was used less than {} ago", format_duration(kept_for));
    else
      item.why = trim.is_dry_run ? internal::use_of(entry.path) : internal::remove_unused(entry.path);
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    item.why = fmt::format("cannot be removed: {}", error.what());
    trim.kept.push_back(std::move(item));
    trim.has_failed = true;
    return Removal::failed;
  }
  if (item.why.empty()) {
    trim.removed.push_back(std::move(item));
    return Removal::done;
  }
  if (!entry.is_leftover()) trim.kept.push_back(std::move(item));
  return Removal::stays;
}

/// Links, and the folders that are empty without them. False: it holds more, which stays. Throws Error{failed}.
bool remove_links(const fs::path& path) {
  if (fs::is_symlink(path)) return fs::remove(path);
  std::vector<fs::path> links, folders{path};
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_symlink())
      links.push_back(entry.path());
    else if (entry.is_directory())
      folders.push_back(entry.path());
  }
  for (const fs::path& link : links) fs::remove(link);
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) {
    if (::rmdir(it->c_str()) == 0 || errno == ENOENT) continue;
    if (errno == ENOTEMPTY || errno == EEXIST) return false;
    throw_errno("remove", io::shown(*it));
  }
  return true;
}

/// model_cache/models/KIND/NAME of models that are no longer in the tree.
void remove_old_links(const tree::Tree& tree, const ModelCache& cache, CacheTrim& trim) {
  std::vector<fs::path> old;
  std::error_code error;
  const fs::path folder = cache.folder() / "models";
  for (fs::directory_iterator kind(folder, error), end; !error && kind != end; kind.increment(error)) {
    std::error_code inner;
    for (fs::directory_iterator it(kind->path(), inner), last; !inner && it != last; it.increment(inner))
      if (!fs::exists(fs::symlink_status(tree.models() / it->path().lexically_relative(folder))))
        old.push_back(it->path());
  }
  for (const fs::path& path : old) {
    const std::string name = path.lexically_relative(folder).string();
    if (!trim.is_dry_run) {
      const io::KeyLock lock = cache.lock(name);
      if (fs::exists(fs::symlink_status(tree.models() / name))) continue;  // it came meanwhile
      std::string why;
      try {
        if (!remove_links(path)) why = "holds files that are not reef's";
      } catch (const std::exception&) {
        const Error failure = current_error();
        if (failure.code() == Errc::interrupted) throw failure;
        why = fmt::format("cannot be removed: {}", failure.what());
        trim.has_failed = true;
      }
      if (!why.empty()) {
        trim.kept.push_back({kModels, "models/" + name, 0, why});
        continue;
      }
    }
    trim.removed.push_back({kModels, "models/" + name, 0, "links of a model that is gone"});
  }
}

}  // namespace

std::uint64_t CacheTrim::freed_bytes() const {
  std::uint64_t bytes = 0;
  for (const CacheItem& item : removed) bytes += item.bytes;
  return bytes;
}

std::uint64_t CacheTrim::over_bytes(const CacheFolder& folder) const {
  std::uint64_t left = folder.bytes;
  for (const CacheItem& item : removed)
    if (is_dry_run && item.cache == folder.name) left -= std::min(left, item.bytes);
  return folder.cap_bytes != 0 && left > folder.cap_bytes ? left - folder.cap_bytes : 0;
}

bool CacheTrim::is_over() const {
  return std::any_of(folders.begin(), folders.end(), [&](const CacheFolder& folder) { return over_bytes(folder) > 0; });
}

void trim_model_cache(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim) {
  ModelCache cache(tree, config, trim.is_dry_run ? ModelCache::Access::look : ModelCache::Access::change);
  std::uint64_t left = 0;
  if (!trim.is_dry_run) internal::release_old(tree, cache);
  std::vector<ModelCache::Entry> stay;
  const std::vector<ModelCache::Entry> gone = cache.trim(trim.is_dry_run);
  for (const ModelCache::Entry& entry : gone) trim.removed.push_back({kModels, names_of(entry), entry.file.bytes, ""});
  for (ModelCache::Entry& entry : cache.entries(true)) {
    if (std::any_of(gone.begin(), gone.end(), [&](const auto& g) { return g.file.digest == entry.file.digest; }))
      continue;
    left += entry.file.bytes;
    stay.push_back(std::move(entry));
  }
  remove_old_links(tree, cache, trim);
  if (left <= cache.cap_bytes()) return;
  for (const ModelCache::Entry& entry : stay) {
    const std::string why = cache.why_stays(entry);
    trim.kept.push_back({kModels, names_of(entry), entry.file.bytes, why.empty() ? "was in use just now" : why});
  }
}

void trim_inference_cache(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim) {
  const std::uint64_t cap = config.size_bytes("system", "cache.inference.cap_bytes");
  const auto hot = std::chrono::seconds(config.count("models", "cache.hot_seconds"));
  const fs::path folder = tree.inference_cache();
  const internal::FolderContent content = internal::content_of(folder);
  std::uint64_t bytes = content.bytes();
  for (const FolderEntry& entry : content.entries) {
    const bool is_over = cap != 0 && bytes > cap;
    if (!entry.is_leftover() && (!is_over || entry.bytes == 0)) continue;
    const Removal removal = remove(kInference, folder, entry, trim, hot);
    if (removal == Removal::failed && !entry.is_leftover()) break;  // younger ones do not go in its place
    if (removal == Removal::done) bytes -= entry.bytes;
  }
}

void remove_leftovers_of_embedding(const tree::Tree& tree, CacheTrim& trim) {
  for (const fs::path& folder : {tree.embedding_cache(), tree.encoders()}) {
    for (const FolderEntry& entry : internal::content_of(folder).entries)
      if (entry.is_leftover() && now() - entry.used >= kForgotten)
        remove(kEmbedding, tree.embedding_cache(), entry, trim, kForgotten);
  }
}

void measure_caches(const tree::Tree& tree, const tree::Config& config, CacheTrim& trim) {
  trim.folders = cache_status(tree, config, false).folders;
}

}  // namespace reef::model
