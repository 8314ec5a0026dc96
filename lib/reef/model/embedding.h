#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace reef::model {

enum class Pooling { mean, cls };

/// Everything that decides which vector a text gets. Filled from the model's own files and
/// models.yaml (which wins); two stores agree only if all of it but `name` and `folder` agrees.
struct EmbeddingModel {
  std::string name;              ///< "all-MiniLM-L6-v2"
  std::filesystem::path folder;  ///< holds model.safetensors, config.json, tokenizer.json or vocab.txt
  std::string weights_sha256;    ///< of model.safetensors, hex, from its manifest
  std::size_t dim = 0;
  Pooling pooling = Pooling::mean;
  std::string query_prefix;      ///< "query: " for e5
  std::string passage_prefix;    ///< "passage: " for e5
  std::size_t max_tokens = 512;  ///< with [CLS] and [SEP]; longer texts are cut
  double fusion_weight = 0.5;    ///< share of the dense score in hybrid search
};

}  // namespace reef::model
