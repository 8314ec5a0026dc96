#include "reef/model/cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/model_cache.h"
#include "reef/model/library.h"
#include "reef/model/weights.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

std::string name_of(const Installed& model) { return qualified_name(model.manifest.kind, model.manifest.name); }

/// An entry of inference_cache: a file, or a folder with all that is in it.
struct Snapshot {
  fs::path path;
  std::uint64_t bytes = 0;
  Time used{};
};

Time later_of(const struct stat& status) {
  const auto in_time = [](const timespec& t) {
    return Time(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::seconds(t.tv_sec) +
                                                                      std::chrono::nanoseconds(t.tv_nsec)));
  };
  return std::max(in_time(status.st_atim), in_time(status.st_mtim));
}

/// What vanishes meanwhile is no longer of interest.
void add(const fs::path& path, Snapshot& snapshot) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) {
    snapshot.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
    snapshot.used = std::max(snapshot.used, later_of(status));
    return;
  }
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) add(it->path(), snapshot);
}

std::vector<Snapshot> snapshots_in(const fs::path& folder) {
  std::vector<Snapshot> snapshots;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    Snapshot& snapshot = snapshots.emplace_back(Snapshot{it->path(), 0, {}});
    add(it->path(), snapshot);
  }
  return snapshots;
}

std::uint64_t size_of(const fs::path& folder) {
  std::uint64_t bytes = 0;
  for (const Snapshot& snapshot : snapshots_in(folder)) bytes += snapshot.bytes;
  return bytes;
}

}  // namespace

CacheStatus cache_status(const tree::Tree& tree, const tree::Config& config, bool why) {
  internal::ModelCache cache(tree, config);
  cache.put_right();
  CacheStatus status;
  status.folder = cache.folder();
  status.is_in_memory = cache.is_in_memory();
  status.asked_why = why;
  std::uint64_t bytes = 0;
  for (const internal::ModelCache::Entry& entry : cache.entries(true)) {
    CachedModelFile file{entry.file.digest,    entry.file.bytes, entry.models, {},
                         entry.file.is_pinned, entry.is_in_use,  {},           entry.file.used};
    file.tier = entry.is_loading ? "LOADING"
                : entry.is_in_use || entry.file.is_pinned
                    ? "HOT"
                    : tier_name(internal::tier_of(entry.file.used, now(), cache.limits()));
    if (why && entry.is_in_use) file.holders = internal::holders_of(cache.file(entry.file.digest));
    bytes += file.bytes;
    status.files.push_back(std::move(file));
  }
  status.folders = {
      {"model_cache", bytes, cache.cap_bytes()},
      {"embedding_cache", size_of(tree.embedding_cache()), config.size_bytes("system", "cache.embedding.cap_bytes")},
      {"inference_cache", size_of(tree.inference_cache()), config.size_bytes("system", "cache.inference.cap_bytes")}};
  return status;
}

CacheChange pin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  const std::string model = name_of(find_model(tree, name));
  internal::ModelCache cache(tree, config);
  const std::vector<std::string> pins = cache.pins();
  const bool is_new = std::find(pins.begin(), pins.end(), model) == pins.end();
  if (is_new) cache.pin(model);
  return {"pin", model, is_new, 0};
}

CacheChange unpin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  const std::string model = name_of(find_model(tree, name));
  internal::ModelCache cache(tree, config);
  const std::vector<std::string> before = cache.pins();
  cache.unpin(model);
  const std::vector<std::string> after = cache.pins();
  const std::string short_name = model.substr(model.find('/') + 1);
  if (std::any_of(after.begin(), after.end(),
                  [&](const std::string& pin) { return pin == model || pin == short_name; }))
    throw Error(Errc::usage, fmt::format("{} is pinned by the configuration", model),
                "see default_embedding and models.NAME.pinned in models.yaml");
  return {"unpin", model, before.size() != after.size(), 0};
}

CacheChange evict_model(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  const Installed model = find_model(tree, name);
  internal::ModelCache cache(tree, config);
  cache.put_right();
  CacheChange change{"evict", name_of(model), false, 0};
  for (const ManifestFile& file : model.manifest.files) {
    const std::string& digest = file.proven_digest();
    if (!is_weight_file(file.path) || !fs::exists(cache.file(digest))) continue;
    if (!cache.evict(digest)) {
      const auto holders = internal::holders_of(cache.file(digest));
      const std::string by = holders.empty() ? "" : fmt::format(" by {}", fmt::join(holders, ", "));
      throw Error(Errc::failed, fmt::format("{}: {} is in use{}", change.name, io::shown(file.path), by),
                  "end that program first");
    }
    change.has_changed = true;
    change.freed_bytes += file.bytes;
  }
  return change;
}

CacheChange trim_caches(const tree::Tree& tree, const tree::Config& config) {
  CacheChange change{"trim", "inference_cache", false, 0};
  const std::uint64_t cap = config.size_bytes("system", "cache.inference.cap_bytes");
  const auto hot = std::chrono::seconds(config.count("models", "cache.hot_seconds"));
  std::vector<Snapshot> snapshots = snapshots_in(tree.inference_cache());
  std::uint64_t bytes = 0;
  for (const Snapshot& snapshot : snapshots) bytes += snapshot.bytes;
  std::sort(snapshots.begin(), snapshots.end(),
            [](const Snapshot& a, const Snapshot& b) { return a.used != b.used ? a.used < b.used : a.path < b.path; });
  for (const Snapshot& snapshot : snapshots) {
    if (cap == 0 || bytes <= cap) break;
    if (now() - snapshot.used < hot) continue;
    fs::remove_all(snapshot.path);
    bytes -= snapshot.bytes;
    change.has_changed = true;
    change.freed_bytes += snapshot.bytes;
  }
  return change;
}

}  // namespace reef::model
