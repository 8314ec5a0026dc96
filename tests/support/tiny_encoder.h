#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/embed/encoder.h"
#include "reef/io/checksum.h"
#include "support/tiny_model.h"

namespace reef::test {

/// Writes a tiny model into `folder` and describes it as the library would.
inline model::EmbeddingModel tiny_embedding(const std::filesystem::path& folder, const TinyModel& tiny = {}) {
  write_tiny_model(folder, tiny);
  model::EmbeddingModel model;
  model.name = "tiny";
  model.folder = folder;
  model.weights_sha256 = io::to_hex(io::sha256_file(folder / "model.safetensors"));
  model.dim = tiny.dim;
  model.max_tokens = tiny.positions;
  return model;
}

inline std::vector<float> query_vector(embed::Embedder& embedder, std::string_view text) {
  std::vector<float> result(embedder.identity().dim);
  embedder.embed_query(text, result);
  return result;
}

inline std::vector<float> passage_vectors(embed::Embedder& embedder, const std::vector<std::string>& texts,
                                          unsigned threads = 1, Progress& progress = no_progress()) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> result(texts.size() * embedder.identity().dim);
  embedder.embed_passages(views, result, threads, progress);
  return result;
}

}  // namespace reef::test
