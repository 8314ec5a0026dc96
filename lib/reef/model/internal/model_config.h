#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace reef::model::internal {

/// The keys of a Hugging Face config.json that reef reads; everything else in it is skipped.
struct ModelConfig {
  std::string model_type;    ///< "bert"
  std::string architecture;  ///< the first of architectures: "BertModel"
  std::string quantization;  ///< "gptq, 4 bits"; empty: none
  std::optional<std::uint64_t> hidden_size;
  std::optional<std::uint64_t> max_position_embeddings;
};

/// `folder`/config.json; an empty one when there is none (adapters). Throws Error{corrupt}.
ModelConfig read_model_config(const std::filesystem::path& folder);

/// The small JSON files of a model are read whole, up to this.
inline constexpr std::uint64_t kMaxConfigBytes = 16 << 20;

}  // namespace reef::model::internal
