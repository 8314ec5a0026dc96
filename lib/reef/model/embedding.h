#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace reef::tree {
class Config;
class Tree;
}  // namespace reef::tree

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

/// The embedding model `name`, one of those under models/. What it does is read, in this order,
/// from models.yaml (models.<name>.*), from the files that sentence-transformers publishes with a
/// model (modules.json, 1_Pooling/config.json, sentence_bert_config.json,
/// config_sentence_transformers.json), from what is known of the families all-MiniLM, bge and e5,
/// from tokenizer_config.json and config.json.
///
/// Throws Error{not_found} naming the nearest model, Error{corrupt} naming file and byte,
/// Error{usage} for a setting that cannot be (pooling: max, more tokens than positions).
EmbeddingModel resolve_embedding(const tree::Tree& tree, const tree::Config& config, const std::string& name);

/// Whether the folder holds an encoder of the BERT family, which embed::compile_encoder takes.
bool is_bert_encoder(const std::filesystem::path& folder);

}  // namespace reef::model
