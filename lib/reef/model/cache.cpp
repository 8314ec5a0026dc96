#include "reef/model/cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/cache_folder.h"
#include "reef/model/internal/model_cache.h"
#include "reef/model/library.h"
#include "reef/model/weights.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;
using internal::ModelCache;

std::string name_of(const Installed& model) { return qualified_name(model.manifest.kind, model.manifest.name); }

/// Whether a model that once had the file in the cache still is what has it.
bool still_has(const tree::Tree& tree, const std::string& model, const std::string& digest) {
  try {
    const auto manifest = read_manifest(tree.models() / model);
    return manifest && std::any_of(manifest->files.begin(), manifest->files.end(),
                                   [&](const ManifestFile& file) { return file.proven_digest() == digest; });
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return true;
  }
}

CachedModelFile shown_entry(const ModelCache& cache, const ModelCache::Entry& entry, bool why) {
  CachedModelFile file{entry.file.digest,    entry.file.bytes, entry.models,       {},
                       entry.file.is_pinned, entry.is_in_use,  entry.is_use_known, {},
                       entry.file.used};
  file.tier = entry.is_loading ? "LOADING"
              : entry.is_in_use || entry.file.is_pinned
                  ? "HOT"
                  : tier_name(internal::tier_of(entry.file.used, now(), cache.limits()));
  if (why && entry.is_in_use) file.holders = internal::holders_of(cache.file(entry.file.digest));
  return file;
}

}  // namespace

void internal::release_old(const tree::Tree& tree, ModelCache& cache) {
  for (const ModelCache::Entry& entry : cache.entries(false)) {
    if (entry.is_loading) continue;
    for (const std::string& model : entry.models)
      if (!still_has(tree, model, entry.file.digest)) cache.release(entry.file.digest, model);
  }
}

CacheStatus cache_status(const tree::Tree& tree, const tree::Config& config, bool why) {
  ModelCache cache(tree, config, ModelCache::Access::look);
  CacheStatus status;
  status.folder = cache.folder();
  status.is_in_memory = cache.is_in_memory();
  status.asked_why = why;
  std::uint64_t bytes = 0;
  bool is_use_known = true;
  for (const ModelCache::Entry& entry : cache.entries(true)) {
    status.files.push_back(shown_entry(cache, entry, why));
    bytes += entry.file.bytes;
    is_use_known = is_use_known && entry.is_use_known;
  }
  const internal::FolderContent vectors = internal::content_of(tree.embedding_cache());
  const internal::FolderContent inference = internal::content_of(tree.inference_cache());
  status.folders = {{"model_cache", bytes, cache.cap_bytes()},
                    {"embedding_cache", vectors.bytes(), config.size_bytes("system", "cache.embedding.cap_bytes")},
                    {"inference_cache", inference.bytes(), config.size_bytes("system", "cache.inference.cap_bytes")}};
  if (!cache.ledger_fault().empty())
    status.notes.push_back(fmt::format(
        "which models the files belong to, and what 'cache pin' pinned, is not known: {}", cache.ledger_fault()));
  if (!is_use_known)
    status.notes.emplace_back(
        "whether programs use the files is not known: they belong to another user, or their filesystem cannot tell");
  for (const auto& [name, is_readable] :
       {std::pair("model_cache", internal::content_of(cache.folder()).is_readable),
        std::pair("embedding_cache", vectors.is_readable), std::pair("inference_cache", inference.is_readable)})
    if (!is_readable)
      status.notes.push_back(fmt::format("{} holds more, which may not be read or is another filesystem", name));
  return status;
}

CacheChange pin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  const std::string model = name_of(find_model(tree, name));
  ModelCache cache(tree, config);
  const std::vector<std::string> pins = cache.pins();
  CacheChange change{"pin", model, std::find(pins.begin(), pins.end(), model) == pins.end()};
  if (change.has_changed) cache.pin(model);
  return change;
}

CacheChange unpin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name) {
  ModelCache cache(tree, config);
  const std::vector<std::string> before = cache.pins();
  std::string model;
  try {
    model = name_of(find_model(tree, name));
  } catch (const Error& error) {  // one that is gone may still be pinned
    const auto pin = std::find_if(before.begin(), before.end(),
                                  [&](const std::string& pinned) { return internal::is_named(pinned, {name}); });
    if (error.code() != Errc::not_found || pin == before.end()) throw;
    model = *pin;
  }
  cache.unpin(model);
  const std::vector<std::string> after = cache.pins();
  if (internal::is_named(model, after))
    throw Error(Errc::usage, fmt::format("{} is pinned by the configuration", model),
                "see default_embedding and models.NAME.pinned in models.yaml");
  return {"unpin", model, before.size() != after.size()};
}

CacheChange evict_model(const tree::Tree& tree, const tree::Config& config, const EvictOptions& options) {
  const Installed model = find_model(tree, options.name);
  ModelCache cache(tree, config, options.dry_run ? ModelCache::Access::look : ModelCache::Access::change);
  if (!options.dry_run) {
    cache.put_right();
    internal::release_old(tree, cache);
  }
  CacheChange change{"evict", name_of(model), false, options.dry_run};
  const bool is_pinned = internal::is_named(change.name, cache.pins());
  const std::vector<ModelCache::Entry> entries = cache.entries(options.dry_run);
  for (const ManifestFile& file : model.manifest.files) {
    const std::string& digest = file.proven_digest();
    const auto entry = std::find_if(entries.begin(), entries.end(),
                                    [&](const ModelCache::Entry& e) { return e.file.digest == digest; });
    if (!is_weight_file(file.path) || entry == entries.end() || entry->is_loading) continue;
    if (is_pinned && !options.force)
      throw Error(
          Errc::failed, fmt::format("{} is pinned", change.name),
          fmt::format(
              "'reef-model cache unpin {}' ends that where models.yaml does not pin it; --force evicts it all the same",
              options.name));
    std::vector<std::string> others = entry->models;
    const bool was_ours = std::erase(others, change.name) > 0;
    std::erase_if(others, [&](const std::string& other) { return !still_has(tree, other, digest); });
    if (!others.empty() && !options.force) {
      if (was_ours && !options.dry_run) cache.release(digest, change.name);
      change.has_changed = change.has_changed || was_ours;
      change.kept.push_back(
          {"model_cache", file.path, file.bytes, fmt::format("{} has it, too", fmt::join(others, ", "))});
      continue;
    }
    const auto eviction = !options.dry_run                           ? cache.evict(digest)
                          : entry->is_in_use || !entry->is_use_known ? ModelCache::Eviction::in_use
                                                                     : ModelCache::Eviction::done;
    if (eviction == ModelCache::Eviction::absent) continue;
    if (eviction == ModelCache::Eviction::in_use)
      throw Error(
          Errc::failed,
          fmt::format("{}: {} {}", change.name, io::shown(file.path), internal::in_use_text(cache.file(digest))),
          "end that program first");
    change.has_changed = true;
    change.freed_bytes += file.bytes;
  }
  return change;
}

}  // namespace reef::model
