#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reef/io/direct_file.h"
#include "reef/io/read_pieces.h"
#include "reef/model/chunks.h"
#include "reef/model/manifest.h"
#include "reef/model/verify.h"
#include "reef/model/weights.h"

namespace reef::model::internal {

/// A file of a model whose chunks are compared with their digests, whole or in part.
struct CheckedFile {
  /// `digests`: of its chunks; empty where they are not known.
  CheckedFile(const std::filesystem::path& path, const ManifestFile& entry, ChunkDigests digests);

  /// Whether its chunks can be compared one by one; else only the file as a whole can.
  bool has_chunks() const { return !chunks.empty(); }
  std::uint64_t chunk_begin(std::size_t chunk) const { return chunk * kChunkBytes; }
  std::uint64_t chunk_end(std::size_t chunk) const { return std::min(file.size(), (chunk + 1) * kChunkBytes); }

  io::DirectFile file;
  std::string stamp;  ///< file_stamp() when it was opened
  ManifestFile expected;
  ChunkDigests chunks;
  std::optional<WeightFile> weights;  ///< its header, if it has a sound one
  std::vector<char> wanted;           ///< which chunks to read, all at first
  std::vector<char> sound;            ///< which were read and are what they must be
  std::vector<VerifyFault> faults;
};

/// What is wrong with a chunk that was read with this error (of errno(3), 0: none) and has this digest; nullopt when
/// nothing is.
std::optional<VerifyFault> chunk_fault(const CheckedFile& file, std::size_t chunk, int error,
                                       const io::Sha256Digest& digest);

/// Reads what is wanted of the files and fills in their `sound` and `faults`; a file without chunk digests is read as a
/// whole. `report` runs on the calling thread with the bytes read since it ran last; nothing is filled in meanwhile.
/// Throws Error{interrupted}, with `sound` as far as it came.
void check_chunks(std::deque<CheckedFile>& files, unsigned threads, const std::function<void(std::uint64_t)>& report);

}  // namespace reef::model::internal
