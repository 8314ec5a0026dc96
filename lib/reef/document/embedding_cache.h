#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reef/document/store.h"

namespace reef::document {

/// Vectors of passages by (model, hash of the passage), in cache/embedding_cache/<digest>.sqlite: a
/// document that comes again, in another scope or after a killed run, is not embedded twice.
/// May be deleted at any time; whatever goes wrong with it costs time and nothing else: what is no
/// unit vector counts as unknown, a damaged file is removed and made again.
class EmbeddingCache {
 public:
  EmbeddingCache(const std::filesystem::path& folder, const std::string& model_digest, std::size_t dim);

  /// Fills the rows of `vectors` (n x dim) that are known; returns which were. The others hold
  /// anything.
  std::vector<bool> find(std::span<const PassageHash> passages, std::span<float> vectors);
  /// Takes the rows that are not `known`, in the place of what stands under their passages.
  void add(std::span<const PassageHash> passages, std::span<const float> vectors, const std::vector<bool>& known);
  /// Removes the vectors unused for longest until this model's cache fits under `cap_bytes` (0: no limit).
  void trim(std::uint64_t cap_bytes);

 private:
  void open();
  void make_again(const std::exception& damage);
  template <typename Work>
  void attempt(const char* what, Work work);
  void give_up(const char* what, const std::exception& error);

  std::filesystem::path path_;
  std::size_t dim_;
  io::Database database_;
  bool usable_ = false;
  bool made_again_ = false;
};

/// Removes the vectors of texts that are to be forgotten from the caches of all models in `folder`. A cache that cannot
/// be written is passed over, as everywhere.
void forget_passages(const std::filesystem::path& folder, std::span<const std::string> texts);

}  // namespace reef::document
