#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct ExtractOptions {
  std::string name;              ///< of the model
  std::string tensor;            ///< "model.layers.0.w", or a part in numpy's slicing: "model.layers.0.w[0:4,:]"
  std::filesystem::path output;  ///< .npy: NumPy's format; else the bytes as they lie; "-": those to stdout
  bool force = false;            ///< replace a file of that name
};

struct ExtractedTensor {
  std::string model;
  std::string file;  ///< of the model, that holds the tensor
  std::string tensor;
  std::string slice;  ///< "[0:4,:]"; empty: all of it
  std::string dtype;  ///< as the model has it
  std::vector<std::uint64_t> tensor_shape;
  std::vector<std::uint64_t> shape;  ///< of what was written
  std::filesystem::path output;
  std::string npy_type;    ///< "<f4"; empty: raw bytes
  std::string conversion;  ///< of elements that numpy has no type for: "float32", "uint8"; empty: none
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;  ///< elements, without the header of .npy
};

/// Writes a tensor or a slice of it. Only what the slice needs is read, whatever the tensor's size, past the page
/// cache, and never more than some megabytes are held. A file appears under its name when it is complete.
///
/// Throws Error{usage} for a slice that is none, an output that exists and a type that .npy cannot hold,
/// Error{not_found} naming the nearest tensor, Error{corrupt}, Error{failed}, Error{interrupted}.
ExtractedTensor extract_tensor(const tree::Tree& tree, const ExtractOptions& options, Progress& progress);

std::string to_json(const ExtractedTensor& extracted);
std::string to_text(const ExtractedTensor& extracted);

}  // namespace reef::model
