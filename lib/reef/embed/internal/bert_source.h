#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "reef/model/safetensors.h"

namespace reef::embed::internal {

/// The shape of a BERT encoder, from its config.json.
struct BertConfig {
  std::size_t layers = 0;
  std::size_t hidden = 0;
  std::size_t heads = 0;
  std::size_t ffn = 0;
  std::size_t words = 0;
  std::size_t positions = 0;
  float epsilon = 0;
};

/// Reads `folder`/config.json. Throws Error{not_found} without one, Error{corrupt} naming the key
/// for anything but a BERT encoder with exact GELU, absolute positions and widths that are
/// multiples of 16.
BertConfig read_bert_config(const std::filesystem::path& folder);

/// The weights of a BERT encoder as float32, under Hugging Face's names with or without "bert.".
class BertWeights {
 public:
  /// Maps `folder`/model.safetensors.
  explicit BertWeights(const std::filesystem::path& folder);

  /// All values of a vector of `size`.
  std::vector<float> vector(const std::string& name, std::size_t size) const;
  /// Rows [first, first + count) of a matrix of `rows` x `columns`, row-major.
  ///
  /// Both throw Error{corrupt} naming file and tensor when it is absent, of another shape, of a
  /// type other than F32, F16 and BF16, or holds a value beyond +-1e6 or no number: within that
  /// bound nothing in a forward pass can overflow, so a vector is always made of numbers.
  std::vector<float> rows(const std::string& name, std::size_t rows, std::size_t columns, std::size_t first,
                          std::size_t count) const;
  std::vector<float> matrix(const std::string& name, std::size_t rows, std::size_t columns) const {
    return this->rows(name, rows, columns, 0, rows);
  }

  /// Row 0 of the token types (all tokens are of one text here), however many types there are.
  std::vector<float> token_type(std::size_t hidden) const;

  const std::string& path() const { return file_.file().path(); }

 private:
  const model::Tensor* find(const std::string& name) const;
  const model::Tensor& require(const std::string& name, std::span<const std::uint64_t> shape) const;
  std::vector<float> values(const model::Tensor& tensor, std::size_t first, std::size_t count) const;

  model::SafetensorsFile file_;
};

}  // namespace reef::embed::internal
