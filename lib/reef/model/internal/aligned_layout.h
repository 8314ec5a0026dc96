#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reef/model/safetensors.h"

namespace reef::model::internal {

/// A safetensors file with the tensors of another one, every one of them at a multiple of its element's size and the
/// data at a multiple of an alignment. The format knows no holes, so that only their order and the blanks at the end of
/// the header can bring that about.
struct AlignedLayout {
  std::string head;                   ///< length field and header
  std::vector<std::uint64_t> begins;  ///< of each of the header's tensors, in its order; counted from the data
  bool moves_data = false;            ///< the data begins elsewhere
  bool moves_tensors = false;         ///< and lies in another order

  bool is_same() const { return !moves_data && !moves_tensors; }
};

/// `alignment`: a power of two, at least 8, the largest element. The order is kept where it serves; else the tensors
/// whose bytes are a multiple of the alignment come first, then those of a multiple of its half, and so on: so each
/// begins at a multiple of the largest power of two, up to the alignment, that divides its own bytes.
/// Throws Error{usage} when the padded header would be larger than the format allows.
AlignedLayout align_layout(const SafetensorsHeader& header, std::uint64_t alignment, const std::string& file);

}  // namespace reef::model::internal
