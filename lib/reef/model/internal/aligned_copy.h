#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "reef/model/internal/aligned_layout.h"
#include "reef/model/internal/verified_copy.h"

namespace reef::model::internal {

/// SHA-256 of what was read, in hexadecimal digits.
struct SourceDigests {
  std::string head;                            ///< length field and header
  std::map<std::string, std::string> tensors;  ///< by their names
};

/// Writes the tensors of a safetensors file to the places of a layout, in a new file. The source is read once, front to
/// back, and compared with its digests: chunk by chunk before anything of a chunk is written, or, where the manifest
/// has none of its chunks, as a whole. What was written is on the drive then and not in memory, so that reading it
/// tells what the drive has. Throws Error{corrupt} naming the first fault, Error{failed} when there is no room,
/// Error{interrupted}; the target is then worth nothing.
SourceDigests copy_aligned(const VerifiedSource& source, const SafetensorsHeader& header, const AlignedLayout& layout,
                           const std::filesystem::path& target, const OnBytes& on_bytes);

}  // namespace reef::model::internal
