#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "reef/embed/internal/bert_source.h"
#include "reef/io/checksum.h"
#include "reef/model/embedding.h"

namespace reef::embed::internal {

/// The files of a model, opened and checked against each other, to be compiled.
struct Source {
  BertConfig config;
  BertWeights weights;
  std::vector<std::uint8_t> vocabulary;  ///< of compile_vocabulary()
  std::size_t words = 0;                 ///< in the vocabulary; config.words may count unused rows behind them
  io::Sha256Digest weights_sha256;
};

/// Throws Error{corrupt} when the weights are not those of the manifest (`model.weights_sha256`,
/// unless empty) or the vocabulary has words that the weights lack, Error{usage} when `model` asks
/// for a dimension or a length that they do not have.
Source open_source(const model::EmbeddingModel& model);

/// Throws Error{usage} unless a network of this width and so many positions can do what `model` asks.
void check_request(const model::EmbeddingModel& model, std::size_t hidden, std::size_t positions);

/// Writes the compiled form to `fd`, an empty file; `path` is a name by which it can be mapped.
void write_compiled(const Source& source, int fd, const std::filesystem::path& path);

}  // namespace reef::embed::internal
