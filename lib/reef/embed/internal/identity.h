#pragma once

#include <string>
#include <string_view>

#include "reef/embed/internal/bert_source.h"
#include "reef/io/checksum.h"
#include "reef/model/embedding.h"

namespace reef::embed::internal {

/// 32 hex digits over all that decides which vector a text gets: weights, vocabulary, the numbers
/// of config.json, pooling, prefixes, length, and `arithmetic`, the version of how it is computed.
std::string identity_digest(const model::EmbeddingModel& model, const io::Sha256Digest& weights,
                            const io::Sha256Digest& vocabulary, const BertConfig& config, std::string_view arithmetic);

}  // namespace reef::embed::internal
