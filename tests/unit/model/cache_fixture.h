#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/model/cache.h"
#include "reef/model/import.h"
#include "reef/model/load.h"
#include "support/temp_dir.h"
#include "unit/model/sample.h"

namespace reef::test {

namespace fs = std::filesystem;

inline constexpr std::size_t kWeights = 5 << 20;

/// A tree whose model cache is a plain folder, or a folder of a tmpfs.
struct CacheFixture {
  TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");
  std::string settings = "cache:\n  model:\n    cap_bytes: 12MiB\n";  ///< system.yaml
  std::unique_ptr<TempDir> memory;

  explicit CacheFixture(bool in_memory = false) {
    fs::create_directories(tree.models());
    fs::create_directories(tree.cache());
    if (in_memory) {
      ::setenv("TMPDIR", "/dev/shm", 1);
      memory = std::make_unique<TempDir>();
      ::unsetenv("TMPDIR");
      fs::create_directory_symlink(memory->path(), tree.model_cache());
    }
  }
  /// A model whose bytes follow from its name.
  void add(const std::string& name) const {
    const std::string header = R"({"layers.0.w":{"dtype":"U8","shape":[5242880],"data_offsets":[0,5242880]}})";
    std::string file = safetensors(header, kWeights);
    for (std::size_t i = 0; i < kWeights; i += 4096) file[file.size() - 1 - i] = name.back();
    write(dir / "in" / name / "config.json", "{}");
    write(dir / "in" / name / "model.safetensors", file);
    model::import_model(tree, config(), {.source = dir / "in" / name}, no_progress());
  }
  tree::Config config() const { return tree::Config::parse("system", settings, "system.yaml"); }
  model::LoadResult load(const std::string& name, model::LoadStrategy strategy = model::LoadStrategy::automatic) const {
    return model::load_model(tree, config(), {.name = name, .strategy = strategy, .threads = 2}, no_progress());
  }
  fs::path weights(const std::string& name) const { return tree.models("base") / name / "model.safetensors"; }
  /// As if nobody had used the cache for so long.
  void age(std::chrono::seconds by) const {
    io::Database ledger(tree.cache() / "model_cache.sqlite", io::OpenMode::write);
    ledger.execute("UPDATE file SET used = used - " + std::to_string(by.count() * 1000));
    for (const auto& entry : fs::directory_iterator(tree.model_cache())) {
      if (!entry.is_regular_file()) continue;
      timespec times[2] = {};
      REQUIRE(::clock_gettime(CLOCK_REALTIME, &times[0]) == 0);
      times[0].tv_sec -= by.count();
      times[1] = times[0];
      REQUIRE(::utimensat(AT_FDCWD, entry.path().c_str(), times, 0) == 0);
    }
  }
  std::vector<std::string> cached() const {
    std::vector<std::string> names;
    for (const auto& file : model::cache_status(tree, config(), false).files) names.push_back(file.models.at(0));
    std::sort(names.begin(), names.end());
    return names;
  }
  /// Everything in the folder of the cache that is no whole file and no link.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(tree.model_cache()))
      if (entry.path().filename().string().starts_with('.')) names.push_back(entry.path().filename());
    return names;
  }
};

inline bool has_memory_folder() {
  struct statfs space {};
  const bool has = ::statfs("/dev/shm", &space) == 0 && space.f_type == 0x01021994 && ::access("/dev/shm", W_OK) == 0;
  if (!has) MESSAGE("skipped: /dev/shm is no tmpfs here");
  return has;
}

}  // namespace reef::test
