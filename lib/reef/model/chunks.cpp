#include "reef/model/chunks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::model {
namespace {

constexpr std::string_view kMagic{"reef.chunks/1\n\0\0", 16};
constexpr std::size_t kDigestBytes = sizeof(io::Sha256Digest);

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& rule) {
  throw Error(Errc::corrupt, fmt::format("{} {}", io::shown(path), rule),
              "write it again with 'reef-model manifest', which reads every file of the model");
}

}  // namespace

std::size_t chunk_count(std::uint64_t file_bytes) { return (file_bytes + kChunkBytes - 1) / kChunkBytes; }

std::string chunk_root(const ChunkDigests& digests) {
  io::Sha256 hash;
  for (const io::Sha256Digest& digest : digests) hash.update(digest);
  return io::to_hex(hash.finish());
}

std::string chunk_table(const std::vector<ChunkDigests>& files) {
  std::string table(kMagic);
  for (const ChunkDigests& digests : files) {
    for (const io::Sha256Digest& digest : digests)
      table.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  return table;
}

std::vector<ChunkDigests> read_chunk_table(const std::filesystem::path& folder, const Manifest& manifest) {
  std::vector<ChunkDigests> files(manifest.files.size());
  std::uint64_t expected = kMagic.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!manifest.files[i].chunks_sha256.empty()) expected += chunk_count(manifest.files[i].bytes) * kDigestBytes;
  }
  if (expected == kMagic.size()) return files;
  const std::filesystem::path path = folder / kChunksFile;
  if (!std::filesystem::exists(path)) fail(path, "is missing");
  const std::string table = io::read_file(path, std::max<std::uint64_t>(expected, 1 << 20));
  if (!table.starts_with(kMagic)) fail(path, "does not begin as a table of chunk digests");
  if (table.size() != expected)
    fail(path, fmt::format("has {} bytes, the manifest asks for {}", table.size(), expected));
  std::size_t at = kMagic.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const ManifestFile& file = manifest.files[i];
    if (file.chunks_sha256.empty()) continue;
    files[i].resize(chunk_count(file.bytes));
    std::memcpy(files[i].data(), table.data() + at, files[i].size() * kDigestBytes);
    at += files[i].size() * kDigestBytes;
    if (chunk_root(files[i]) != file.chunks_sha256)
      fail(path, fmt::format("has other digests of {} than the manifest says", io::shown(file.path)));
  }
  return files;
}

}  // namespace reef::model
