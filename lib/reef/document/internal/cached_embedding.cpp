#include "reef/document/internal/cached_embedding.h"

#include <algorithm>
#include <chrono>
#include <string_view>

namespace reef::document::internal {

Embedded embed_passages(embed::Embedder& embedder, EmbeddingCache& cache, const std::vector<std::string>& passages,
                        unsigned threads, Progress& progress) {
  const std::size_t dim = embedder.identity().dim;
  Embedded result;
  result.vectors.resize(passages.size() * dim);
  std::vector<PassageHash> hashes;
  hashes.reserve(passages.size());
  for (const std::string& passage : passages) hashes.push_back(passage_hash(passage));
  const auto known = cache.find(hashes, result.vectors);
  std::vector<std::string_view> missing;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    if (known[i]) continue;
    missing.push_back(passages[i]);
    places.push_back(i);
  }
  progress.advance(passages.size() - missing.size());
  if (missing.empty()) return result;
  std::vector<float> computed(missing.size() * dim);
  const auto begin = std::chrono::steady_clock::now();
  embedder.embed_passages(missing, computed, threads, progress);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.computed = missing.size();
  for (std::size_t k = 0; k < places.size(); ++k)
    std::copy_n(computed.data() + k * dim, dim, result.vectors.data() + places[k] * dim);
  cache.add(hashes, result.vectors, known);
  return result;
}

}  // namespace reef::document::internal
