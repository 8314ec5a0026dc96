#include "reef/model/internal/digest_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>

#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/io/ordered_reader.h"
#include "reef/model/internal/range_digests.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

ChunkDigests digest_file(const fs::path& path, ManifestFile& file, const WeightFile* weights, bool with_tensors,
                         const std::function<void(std::uint64_t)>& on_bytes) {
  const io::DirectFile source(path);
  file.bytes = source.size();
  file.header_sha256.clear();
  file.tensors.clear();
  RangeDigests ranges;
  if (weights != nullptr) {
    ranges.add({0, weights->data_offset, &file.header_sha256});
    if (with_tensors) {
      file.tensors.resize(weights->tensors.size());
      for (std::size_t i = 0; i < file.tensors.size(); ++i) {
        const WeightTensor& tensor = weights->tensors[i];
        file.tensors[i].name = tensor.name;
        ranges.add({weights->data_offset + tensor.begin, weights->data_offset + tensor.end, &file.tensors[i].sha256});
      }
    }
  }
  const std::vector<io::Piece> pieces = io::pieces_of(source);
  ChunkDigests chunks;
  io::Sha256 whole;
  io::OrderedReader reader(pieces);
  while (const auto read = reader.next()) {
    if (read->error != 0) {
      errno = read->error;
      throw_errno("read", io::shown(path));
    }
    chunks.push_back(whole.update_and_digest(read->bytes));
    ranges.take(pieces[read->piece].offset, read->bytes);
    on_bytes(read->bytes.size());
  }
  ranges.take(file.bytes, {});  // empty tensors at the end
  file.sha256 = io::to_hex(whole.finish());
  if (chunks.size() == 1) chunks.clear();
  file.chunks_sha256 = chunks.empty() ? "" : chunk_root(chunks);
  return chunks;
}

}  // namespace

static_assert(kChunkBytes == io::kPieceBytes);

std::vector<ChunkDigests> digest_files(const fs::path& folder, Manifest& manifest,
                                       const std::vector<WeightFile>& weights, bool with_tensors, unsigned threads,
                                       Progress& progress) {
  std::vector<ChunkDigests> chunks(manifest.files.size());
  std::atomic<std::uint64_t> done{0};
  std::uint64_t told = 0;
  const auto report = [&] {
    const std::uint64_t now = done;
    progress.advance(now - told);
    told = now;
  };
  progress.begin("checking", manifest.total_bytes(), ProgressUnit::bytes);
  share_work(
      threads, manifest.files.size(),
      [&](std::size_t worker, std::size_t i) {
        ManifestFile& file = manifest.files[i];
        const auto header =
            std::find_if(weights.begin(), weights.end(), [&](const WeightFile& w) { return w.path == file.path; });
        chunks[i] = digest_file(folder / file.path, file, header == weights.end() ? nullptr : &*header, with_tensors,
                                [&](std::uint64_t bytes) {
                                  done += bytes;
                                  if (worker == 0) report();
                                });
      },
      report);
  progress.end();
  return chunks;
}

}  // namespace reef::model::internal
