#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/model/gguf.h"
#include "reef/model/safetensors.h"

namespace reef::model {

/// A tensor of a file of weights, whatever the file's format.
struct WeightTensor {
  std::string name;
  std::string dtype;                 ///< as the format spells it: "BF16"
  std::vector<std::uint64_t> shape;  ///< outermost first; empty for a scalar
  std::uint64_t begin = 0;           ///< first byte, counted from the start of the data
  std::uint64_t end = 0;             ///< one past the last byte
  std::uint64_t elements = 0;
  bool is_aligned = true;  ///< usable in place: begins at a multiple of its element's size

  std::uint64_t bytes() const { return end - begin; }
};

/// The header of a file of weights, checked against all rules of its format.
struct WeightFile {
  std::string path;                                           ///< relative to the model's folder
  std::uint64_t data_offset = 0;                              ///< where the data begins in the file
  std::vector<WeightTensor> tensors;                          ///< in the order of their bytes
  std::vector<std::pair<std::string, std::string>> metadata;  ///< sorted by key

  /// nullptr when there is none.
  const WeightTensor* find(std::string_view name) const;
  /// Those that have bytes in [begin, end) of the file.
  std::vector<const WeightTensor*> overlapping(std::uint64_t begin, std::uint64_t end) const;
};

/// Whether a file of that name holds weights in a format that reef reads.
bool is_weight_file(std::string_view path);

/// Whether a file of that name says which shard holds which tensor: "model.safetensors.index.json", or of another stem.
bool is_shard_index(std::string_view path);

/// Reads the header of one file below `folder`. Throws Error{corrupt}.
WeightFile read_weight_file(const std::filesystem::path& folder, const std::string& path);

/// The headers of one model's files of weights, each read once, then checked against each other.
class WeightHeaders {
 public:
  explicit WeightHeaders(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Reads one more; `path` is relative to the folder. Throws Error{corrupt}.
  WeightFile read(const std::string& path);
  /// Checks a shard index against the shards that were read. Throws Error{corrupt}.
  void check_index(const std::string& path) const;
  /// Checks that the parts of split GGUF models are all there and agree; projectors are models of their own. Throws
  /// Error{corrupt}.
  void check_parts() const;

 private:
  std::filesystem::path folder_;
  std::vector<std::pair<std::string, SafetensorsHeader>> shards_;
  std::vector<std::pair<std::string, GgufHeader>> parts_;
};

/// The headers of the files of weights among `paths` (relative to `folder`), checked against each other and against
/// every shard index among them. Throws Error{corrupt}.
std::vector<WeightFile> read_weights(const std::filesystem::path& folder, const std::vector<std::string>& paths);

}  // namespace reef::model
