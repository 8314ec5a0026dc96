#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model {

enum class LoadStrategy {
  automatic,  ///< by size: full below load.full_below, stream above load.stream_above, else mmap
  full,       ///< into the model cache, by all cores at once
  mmap,       ///< into the page cache, where programs that map the file find it
  stream,     ///< into the model cache, one piece after the other through a ring of 16 MiB
};
std::string_view strategy_name(LoadStrategy strategy);
/// Throws Error{usage} naming the four.
LoadStrategy parse_strategy(std::string_view name);

struct LoadOptions {
  std::string name;
  LoadStrategy strategy = LoadStrategy::automatic;
  unsigned threads = 1;
};

struct LoadedFile {
  std::string path;             ///< relative to the model's folder
  std::filesystem::path place;  ///< where its bytes are in memory, or will be found there
  std::uint64_t bytes = 0;
  bool was_there = false;
};
struct LoadResult {
  std::string name;
  LoadStrategy strategy = LoadStrategy::full;
  std::string reason;            ///< why this strategy
  std::filesystem::path folder;  ///< what programs open: the model's files under their names
  std::vector<LoadedFile> files;
  double seconds = 0;

  std::uint64_t bytes() const;
  std::uint64_t bytes_read() const;
};

/// Brings the weights of a model into memory, comparing every chunk with its digest on the way: a file appears in the
/// model cache only when all of it was what its manifest says. What is there already is only noted as used.
///
/// Throws Error{corrupt} naming file, chunk and bytes, or when the manifest has no digests of chunks; Error{failed}
/// when the cache has no room, naming who holds it; Error{not_found}, Error{interrupted}.
LoadResult load_model(const tree::Tree& tree, const tree::Config& config, const LoadOptions& options,
                      Progress& progress);

std::string to_json(const LoadResult& result);
std::string to_text(const LoadResult& result);

}  // namespace reef::model
