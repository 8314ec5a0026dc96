#pragma once

#include <filesystem>
#include <vector>

#include "reef/core/progress.h"
#include "reef/model/chunks.h"
#include "reef/model/manifest.h"
#include "reef/model/weights.h"

namespace reef::model::internal {

/// Reads every file of the manifest below `folder` once and fills in what it says of them: size, digests of the whole,
/// of headers and, `with_tensors`, of each tensor. Returns the chunk digests of each file; of one chunk, none.
/// `weights` are the headers of its files of weights. Throws Error{failed} when a file cannot be read,
/// Error{interrupted}.
std::vector<ChunkDigests> digest_files(const std::filesystem::path& folder, Manifest& manifest,
                                       const std::vector<WeightFile>& weights, bool with_tensors, unsigned threads,
                                       Progress& progress);

}  // namespace reef::model::internal
