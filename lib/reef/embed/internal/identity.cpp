#include "reef/embed/internal/identity.h"

#include <fmt/format.h>

namespace reef::embed::internal {

std::string identity_digest(const model::EmbeddingModel& model, const io::Sha256Digest& weights,
                            const io::Sha256Digest& vocabulary, const BertConfig& config, std::string_view arithmetic) {
  // The prefixes' lengths stand before them, so that no two models spell the same text.
  const std::string text = fmt::format(
      "reef vectors {}\nweights {}\nvocabulary {}\nshape {} {} {} {} {} {:a}\npooling {}\ntokens {}\nprefixes {} {} "
      "{}{}",
      arithmetic, io::to_hex(weights), io::to_hex(vocabulary), config.layers, config.hidden, config.heads, config.ffn,
      config.positions, config.epsilon, model.pooling == model::Pooling::mean ? "mean" : "cls", model.max_tokens,
      model.query_prefix.size(), model.passage_prefix.size(), model.query_prefix, model.passage_prefix);
  return io::to_hex(io::sha256(text)).substr(0, 32);
}

}  // namespace reef::embed::internal
