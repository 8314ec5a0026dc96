#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/model/weights.h"

namespace reef::model {

/// The stack and number of the layer that a tensor belongs to.
struct LayerName {
  std::string prefix;  ///< "encoder.layer"
  std::uint64_t number = 0;
};

/// Where the number of a layer stands in a pattern: "bert/encoder/layer_{}/".
inline constexpr std::string_view kLayerPlace = "{}";

/// Without patterns: the first number after a component layers, layer, blk, h, block or blocks. A pattern says what a
/// name begins with, up to the number and behind it; the first that fits decides, and what stands before the number
/// (without its last '.', '/' or '_') is the stack. nullopt outside of layers (embeddings, head).
std::optional<LayerName> layer_of(std::string_view tensor, std::span<const std::string> patterns = {});

/// Whether a tensor outside of layers turns tokens, positions or patches into the vectors that the first layer takes,
/// by its name: a component that holds "emb" ("embed_tokens", "token_embd", "rotary_emb"), or is wte, wpe or shared.
/// "embed_out" and "unembed" are heads.
bool is_embedding_name(std::string_view tensor);

/// A tensor of a model, in the order in which its layers run.
struct OrderedTensor {
  std::size_t file = 0;    ///< index into the files
  std::size_t tensor = 0;  ///< index into that file's tensors
  std::optional<LayerName> layer{};
};

/// Every tensor once: embeddings; then the layers, stack by stack and by number: stacks of an encoder, others, those of
/// a decoder, like ones by their prefix; then the rest (last norm, head). What belongs together is in the order of the
/// files and of the bytes in them. The same for the same model, whatever the order of names in its headers.
std::vector<OrderedTensor> layer_order(const std::vector<WeightFile>& files,
                                       std::span<const std::string> patterns = {});

}  // namespace reef::model
