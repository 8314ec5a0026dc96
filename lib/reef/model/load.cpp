#include "reef/model/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/chunks.h"
#include "reef/model/internal/model_cache.h"
#include "reef/model/internal/verified_copy.h"
#include "reef/model/library.h"
#include "reef/tree/folders.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<LoadStrategy, std::string_view> kStrategies[] = {{LoadStrategy::automatic, "auto"},
                                                                     {LoadStrategy::full, "full"},
                                                                     {LoadStrategy::mmap, "mmap"},
                                                                     {LoadStrategy::stream, "stream"}};

/// A link at `path` to `target`; another one that is there is replaced in one step.
void link_to(const fs::path& target, const fs::path& path) {
  std::error_code error;
  if (fs::read_symlink(path, error) == target) return;
  const fs::path temporary = io::temporary_name(path);
  fs::create_symlink(target, temporary);
  fs::rename(temporary, path, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  throw Error(Errc::failed, fmt::format("rename {}: {}", io::shown(path), error.message()));
}

class Loader {
 public:
  Loader(const tree::Tree& tree, const tree::Config& config, const LoadOptions& options, Progress& progress)
      : tree_(tree), config_(config), options_(options), progress_(progress), model_(find_model(tree, options.name)) {}

  LoadResult run() {
    const auto started = std::chrono::steady_clock::now();
    result_.name = qualified_name(model_.manifest.kind, model_.manifest.name);
    choose_strategy();
    collect();
    if (result_.strategy == LoadStrategy::mmap) {
      result_.folder = model_.folder;
      read_into_page_cache();
    } else {
      fill_cache();
    }
    result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return std::move(result_);
  }

 private:
  struct Weights {
    const ManifestFile* entry;
    ChunkDigests chunks;
  };

  void choose_strategy() {
    std::uint64_t bytes = 0;
    for (const ManifestFile& file : model_.manifest.files)
      if (is_weight_file(file.path)) bytes += file.bytes;
    const std::uint64_t full_below = config_.size_bytes("models", "load.full_below");
    const std::uint64_t stream_above = config_.size_bytes("models", "load.stream_above");
    result_.strategy = options_.strategy;
    if (options_.strategy != LoadStrategy::automatic) {
      result_.reason = "as asked";
    } else if (bytes < full_below) {
      result_.strategy = LoadStrategy::full;
      result_.reason = fmt::format("{} are below load.full_below, {}", format_size(bytes), format_size(full_below));
    } else if (bytes > stream_above) {
      result_.strategy = LoadStrategy::stream;
      result_.reason = fmt::format("{} are above load.stream_above, {}", format_size(bytes), format_size(stream_above));
    } else {
      result_.strategy = LoadStrategy::mmap;
      result_.reason = fmt::format("{} are between load.full_below and load.stream_above, {} and {}",
                                   format_size(bytes), format_size(full_below), format_size(stream_above));
    }
    if (result_.strategy != LoadStrategy::mmap) cache_.emplace(tree_, config_);
    if (options_.strategy == LoadStrategy::automatic && cache_ && bytes > cache_->cap_bytes()) {
      result_.strategy = LoadStrategy::mmap;
      result_.reason = fmt::format("{} are more than the model cache may hold, {}", format_size(bytes),
                                   format_size(cache_->cap_bytes()));
    }
    log_step("{}: strategy {}: {}", result_.name, strategy_name(result_.strategy), result_.reason);
  }

  void collect() {
    const Manifest& manifest = model_.manifest;
    std::vector<ChunkDigests> chunks = read_chunk_table(model_.folder, manifest);
    for (std::size_t i = 0; i < manifest.files.size(); ++i) {
      const ManifestFile& file = manifest.files[i];
      if (!is_weight_file(file.path)) continue;
      if (chunk_count(file.bytes) == 1) chunks[i] = {io::digest_from_hex(file.sha256)};
      if (chunks[i].size() != chunk_count(file.bytes)) {
        throw Error(
            Errc::corrupt,
            fmt::format("{}: the manifest has no digests of the chunks of {}", result_.name, io::shown(file.path)),
            fmt::format("write them with 'reef-model manifest {}'", options_.name));
      }
      weights_.push_back({&file, std::move(chunks[i])});
      result_.files.push_back({file.path, model_.folder / file.path, file.bytes, false});
    }
    if (weights_.empty())
      throw Error(Errc::failed, fmt::format("{} has no weights to load (safetensors or GGUF)", result_.name),
                  fmt::format("'reef-model show {}' tells what it has; compiled segments are sent with "
                              "'reef-model stream --segments'",
                              options_.name));
  }

  template <class Copy>
  void read(const Weights& weights, Copy copy) {
    const std::string& path = weights.entry->path;
    internal::CheckedFile source(model_.folder / path, *weights.entry, weights.chunks);
    if (source.file.size() != weights.entry->bytes)
      throw Error(Errc::corrupt,
                  fmt::format("{}: {} has {} bytes, manifest says {}", result_.name, io::shown(path),
                              source.file.size(), weights.entry->bytes),
                  fmt::format("import the model again, then run 'reef-model verify {}'", options_.name));
    source.weights = read_weight_file(model_.folder, path);
    copy(internal::VerifiedSource{source, result_.name}, [this](std::uint64_t bytes) { progress_.advance(bytes); });
  }

  void read_into_page_cache() {
    progress_.begin("reading", result_.bytes(), ProgressUnit::bytes);
    for (const Weights& weights : weights_) {
      read(weights, [&](const internal::VerifiedSource& source, const internal::OnBytes& on_bytes) {
        internal::bring_into_page_cache(source, options_.threads, on_bytes);
      });
    }
    progress_.end();
  }

  void fill_cache() {
    internal::ModelCache& cache = *cache_;
    if (result_.bytes() > cache.cap_bytes())
      throw Error(Errc::failed,
                  fmt::format("{} takes {}, and the model cache may hold {}", result_.name,
                              format_size(result_.bytes()), format_size(cache.cap_bytes())),
                  "raise cache.model.cap_bytes, or load with --strategy mmap");
    progress_.begin("loading", result_.bytes(), ProgressUnit::bytes);
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      LoadedFile& file = result_.files[i];
      file.place = cache.file(weights_[i].entry->proven_digest());
      file.was_there = bring(cache, weights_[i]);
      if (file.was_there) progress_.advance(file.bytes);
    }
    progress_.end();
    show_under_names(cache);
  }

  /// True when the file was there already. It is kept open: the next file's reservation must not evict it.
  bool bring(internal::ModelCache& cache, const Weights& weights) {
    const std::string& digest = weights.entry->proven_digest();
    while (true) {
      bool was_there = cache.attach(digest, weights.entry->bytes, result_.name);
      if (!was_there) {
        // Somebody who loads it now has it in a moment.
        const io::KeyLock lock = cache.lock(digest, [&] { say_waiting(cache, digest, weights.entry->path); });
        was_there = cache.attach(digest, weights.entry->bytes, result_.name) || !load_new(cache, weights, lock);
      }
      io::UniqueFd held(::open(cache.file(digest).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
      if (held) {
        held_.push_back(std::move(held));
        return was_there;
      }
      if (errno != ENOENT && errno != EWOULDBLOCK && errno != EINTR) throw_errno("open", io::shown(cache.file(digest)));
      check_interrupt();  // it was evicted again, or somebody asks just now who has it
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// For who sits before a terminal, or asked for steps.
  void say_waiting(internal::ModelCache& cache, const std::string& digest, const std::string& path) const {
    const auto loader = cache.loader_of(digest);
    const std::string text = fmt::format("{}: waiting for {}, which loads {}, too", result_.name,
                                         loader ? fmt::format("process {}", *loader) : "another process", path);
    if (::isatty(STDERR_FILENO) != 0)
      log_info("{}", text);
    else
      log_step("{}", text);
  }

  /// False when it is there after all.
  bool load_new(internal::ModelCache& cache, const Weights& weights, const io::KeyLock& lock) {
    const std::string& digest = weights.entry->proven_digest();
    try {
      internal::release_old(tree_, cache);
      auto reservation = cache.reserve(digest, weights.entry->bytes, result_.name);
      if (!reservation) return false;
      if (!copy_to(cache, weights, *reservation)) {
        reservation->start_afresh();
        copy_to(cache, weights, *reservation);
      }
      cache.publish(digest, lock);
    } catch (...) {
      cache.abandon(digest, lock);
      throw;
    }
    return true;
  }

  /// False when somebody turned out to want the file whose pages were to be used again.
  bool copy_to(const internal::ModelCache& cache, const Weights& weights,
               internal::ModelCache::Reservation& reservation) {
    struct IsWanted {};
    const auto watched = [&](const internal::OnBytes& on_bytes) {
      return [&](std::uint64_t bytes) {
        on_bytes(bytes);
        if (reservation.recycled && reservation.recycled->is_wanted()) throw IsWanted{};
      };
    };
    try {
      read(weights, [&](const internal::VerifiedSource& source, const internal::OnBytes& on_bytes) {
        if (cache.is_in_memory() && result_.strategy == LoadStrategy::full) {
          io::UniqueFd fresh;
          if (!reservation.recycled) fresh = io::open_file(reservation.target, O_RDWR | O_CREAT);
          const int fd = reservation.recycled ? reservation.recycled->fd() : fresh.get();
          internal::copy_into_memory(source, fd, reservation.target, options_.threads, watched(on_bytes));
          return;
        }
        reservation.start_afresh();
        if (result_.strategy == LoadStrategy::stream) {
          internal::copy_in_order(source, reservation.target, on_bytes);
        } else {
          internal::copy_by_all(source, reservation.target, options_.threads, on_bytes);
        }
      });
    } catch (const IsWanted&) {
      return false;
    }
    return true;
  }

  /// model_cache/models/base/NAME: links to the cached weights and to the model's other files.
  void show_under_names(const internal::ModelCache& cache) {
    result_.folder = cache.folder() / "models" / result_.name;
    const io::KeyLock lock = cache.lock(result_.name);  // those who load the same model write the same links
    remove_other_links();
    for (const ManifestFile& file : model_.manifest.files) {
      const fs::path path = result_.folder / file.path;
      tree::make_folders(path.parent_path());
      io::remove_stale(path.parent_path());
      const auto cached = std::find_if(result_.files.begin(), result_.files.end(),
                                       [&](const LoadedFile& loaded) { return loaded.path == file.path; });
      link_to(fs::absolute(cached == result_.files.end() ? model_.folder / file.path : cached->place), path);
    }
  }

  /// Of files that the model had before another one was imported under its name.
  void remove_other_links() const {
    if (!fs::exists(result_.folder)) return;
    std::vector<fs::path> others;
    for (const auto& found : fs::recursive_directory_iterator(result_.folder)) {
      const std::string path = found.path().lexically_relative(result_.folder).string();
      if (found.is_symlink() && model_.manifest.find(path) == nullptr) others.push_back(found.path());
    }
    for (const fs::path& path : others) fs::remove(path);
  }

  const tree::Tree& tree_;
  const tree::Config& config_;
  const LoadOptions& options_;
  Progress& progress_;
  Installed model_;
  std::optional<internal::ModelCache> cache_;
  std::vector<Weights> weights_;
  std::vector<io::UniqueFd> held_;  ///< files of the cache, until all are there
  LoadResult result_;
};

}  // namespace

std::string_view strategy_name(LoadStrategy strategy) {
  for (const auto& [known, name] : kStrategies)
    if (known == strategy) return name;
  return "auto";
}

LoadStrategy parse_strategy(std::string_view name) {
  for (const auto& [strategy, known] : kStrategies)
    if (known == name) return strategy;
  throw Error(Errc::usage, fmt::format("'{}' is no strategy", name), "they are auto, full, mmap and stream");
}

std::uint64_t LoadResult::bytes() const {
  std::uint64_t total = 0;
  for (const LoadedFile& file : files) total += file.bytes;
  return total;
}

std::uint64_t LoadResult::bytes_read() const {
  std::uint64_t total = 0;
  for (const LoadedFile& file : files) total += file.was_there ? 0 : file.bytes;
  return total;
}

LoadResult load_model(const tree::Tree& tree, const tree::Config& config, const LoadOptions& options,
                      Progress& progress) {
  return Loader(tree, config, options, progress).run();
}

}  // namespace reef::model
