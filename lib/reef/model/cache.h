#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/time.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct CachedModelFile {
  std::string digest;
  std::uint64_t bytes = 0;
  std::vector<std::string> models;  ///< "base/gemma-3-4b"
  std::string tier;                 ///< "HOT", "WARM", "COLD"; "LOADING"
  bool is_pinned = false;
  bool is_in_use = false;
  bool is_use_known = true;          ///< false: this user cannot ask
  std::vector<std::string> holders;  ///< "python3 (4127)"; with `why`
  Time used{};
};
/// A folder below cache/ and the most that it may hold; 0: no limit.
struct CacheFolder {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t cap_bytes = 0;
};
struct CacheStatus {
  std::filesystem::path folder;
  bool is_in_memory = false;  ///< on a tmpfs; else a plain folder serves
  bool asked_why = false;
  std::vector<CachedModelFile> files;  ///< most recently used first
  std::vector<CacheFolder> folders;    ///< model_cache, embedding_cache, inference_cache
  std::vector<std::string> notes;      ///< what this user cannot know, and why
};

/// Writes nothing, and serves those who may only read. `why`: also which programs have the files open or mapped, as far
/// as /proc tells this user.
CacheStatus cache_status(const tree::Tree& tree, const tree::Config& config, bool why);

/// What goes from a cache, or stays though it was to go.
struct CacheItem {
  std::string cache;  ///< "model_cache"
  std::string name;   ///< a model, or a path below the cache
  std::uint64_t bytes = 0;
  std::string why;
};
struct CacheChange {
  std::string action;  ///< "pin", "unpin", "evict"
  std::string name;
  bool has_changed = false;  ///< with `is_dry_run`: would have
  bool is_dry_run = false;
  std::uint64_t freed_bytes = 0;
  std::vector<CacheItem> kept{};  ///< files of the model that stay, for other models have them, too
};
/// The model stays in the cache, once it is there.
CacheChange pin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name);
/// Throws Error{usage} for a model that the configuration pins.
CacheChange unpin_model(const tree::Tree& tree, const tree::Config& config, const std::string& name);

struct EvictOptions {
  std::string name;
  bool force = false;  ///< a pinned model, too, and files that other models in the cache share
  bool dry_run = false;
};
/// Whether it was used just now or not. Throws Error{failed} for a pinned model, and naming the program that has a file
/// of it in use.
CacheChange evict_model(const tree::Tree& tree, const tree::Config& config, const EvictOptions& options);

std::string to_json(const CacheStatus& status);
std::string to_text(const CacheStatus& status);
std::string to_json(const CacheChange& change);
std::string to_text(const CacheChange& change);

}  // namespace reef::model
