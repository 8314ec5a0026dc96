#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/checksum.h"
#include "reef/model/manifest.h"

namespace reef::model {

/// Files are hashed in chunks of it, the last one shorter: chunks are checked in parallel, one by one, and a fault has
/// a place.
inline constexpr std::uint64_t kChunkBytes = 2 << 20;

/// SHA-256 of each chunk of a file, in their order.
using ChunkDigests = std::vector<io::Sha256Digest>;

std::size_t chunk_count(std::uint64_t file_bytes);
/// SHA-256 of the digests one after the other, 64 hexadecimal digits: what a manifest says of them.
std::string chunk_root(const ChunkDigests& digests);

/// manifest.chunks: "reef.chunks/1", a line feed, two bytes of zero; then the digests, 32 bytes each, of every file
/// that has a chunks_sha256, in the order of the manifest. Files of one chunk have none: it would be their sha256.
std::string chunk_table(const std::vector<ChunkDigests>& files);

/// The digests of each of the manifest's files (none for one that has no chunks_sha256), checked against what the
/// manifest says of them; none at all where nothing has. Throws Error{corrupt} when the file is missing or another.
std::vector<ChunkDigests> read_chunk_table(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace reef::model
