#include "reef/model/internal/chunk_check.h"

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "reef/core/share_work.h"
#include "reef/io/ordered_reader.h"
#include "reef/model/internal/verified_chunks.h"

namespace reef::model::internal {
namespace {

std::string reading_error(int error) {
  return error == ENODATA ? "ends before its last byte" : fmt::format("cannot be read: {}", std::strerror(error));
}

std::string other_digest(const std::string& found, const std::string& expected) {
  return fmt::format("sha256 is {}, manifest says {}", found, expected);
}

class ChunkCheck {
 public:
  ChunkCheck(std::deque<CheckedFile>& files, const std::function<void(std::uint64_t)>& report)
      : files_(files), report_(report) {}

  void run(unsigned threads) {
    std::vector<io::Piece> pieces;
    std::vector<CheckedFile*> whole;
    for (CheckedFile& file : files_) {
      if (!file.has_chunks() && !file.wanted.empty()) whole.push_back(&file);
      for (std::size_t chunk = 0; file.has_chunks() && chunk < file.wanted.size(); ++chunk) {
        if (file.wanted[chunk] == 0) continue;
        of_piece_.push_back({&file, chunk});
        pieces.push_back({&file.file, file.chunk_begin(chunk), file.chunk_end(chunk) - file.chunk_begin(chunk)});
      }
    }
    io::read_pieces(
        pieces, {threads, {}}, [&](std::size_t, std::span<const io::PieceRead> done) { take(done); }, [&] { tell(); });
    share_work(
        threads, whole.size(), [&](std::size_t worker, std::size_t i) { check_whole(*whole[i], worker == 0); },
        [&] { tell(); });
  }

 private:
  struct ChunkOf {
    CheckedFile* file;
    std::size_t chunk;
  };

  void tell() {
    const std::lock_guard lock(mutex_);
    report_(read_ - told_);
    told_ = read_;
  }

  void take(std::span<const io::PieceRead> done) {
    const auto digests = digests_of(done);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < done.size(); ++i) compare(done[i], digests[i]);
  }

  void compare(const io::PieceRead& done, const io::Sha256Digest& digest) {
    const auto [file, chunk] = of_piece_[done.piece];
    read_ += file->chunk_end(chunk) - file->chunk_begin(chunk);
    if (auto fault = chunk_fault(*file, chunk, done.error, digest)) {
      file->faults.push_back(std::move(*fault));
    } else {
      file->sound[chunk] = 1;
    }
  }

  void check_whole(CheckedFile& file, bool is_calling_thread) {
    const std::vector<io::Piece> pieces = io::pieces_of(file.file);
    io::Sha256 hash;
    int error = 0;
    io::OrderedReader reader(pieces);
    while (const auto read = reader.next()) {
      if (read->error != 0) error = read->error;
      hash.update(read->bytes);
      {
        const std::lock_guard lock(mutex_);
        read_ += pieces[read->piece].bytes;
      }
      if (is_calling_thread) tell();
    }
    const std::string digest = io::to_hex(hash.finish());
    const std::lock_guard lock(mutex_);
    if (error != 0) {
      file.faults.push_back({file.expected.path, reading_error(error), std::nullopt});
    } else if (digest != file.expected.sha256) {
      file.faults.push_back({file.expected.path, other_digest(digest, file.expected.sha256), std::nullopt});
    }
  }

  std::deque<CheckedFile>& files_;
  const std::function<void(std::uint64_t)>& report_;
  std::vector<ChunkOf> of_piece_;
  std::mutex mutex_;  ///< of what follows, and of `sound` and `faults` of all files
  std::uint64_t read_ = 0;
  std::uint64_t told_ = 0;
};

}  // namespace

CheckedFile::CheckedFile(const std::filesystem::path& path, const ManifestFile& entry, ChunkDigests digests)
    : file(path),
      stamp(file_stamp(file.plain_fd())),
      expected(entry),
      chunks(std::move(digests)),
      wanted(chunk_count(file.size()), 1),
      sound(wanted.size(), 0) {
  if (chunks.empty() && wanted.size() == 1) chunks = {io::digest_from_hex(entry.sha256)};
}

std::optional<VerifyFault> chunk_fault(const CheckedFile& file, std::size_t chunk, int error,
                                       const io::Sha256Digest& digest) {
  VerifyFault fault{file.expected.path, {}, std::nullopt};
  if (error != 0) {
    fault.what = reading_error(error);
  } else if (digest != file.chunks[chunk]) {
    fault.what = other_digest(io::to_hex(digest), io::to_hex(file.chunks[chunk]));
  } else {
    return std::nullopt;
  }
  if (file.wanted.size() == 1) return fault;  // then the file says it all
  FaultyChunk& place = fault.chunk.emplace();
  place.number = chunk;
  place.begin = file.chunk_begin(chunk);
  place.end = file.chunk_end(chunk);
  if (!file.weights) return fault;
  for (const WeightTensor* tensor : file.weights->overlapping(place.begin, place.end))
    place.tensors.push_back(tensor->name);
  return fault;
}

void check_chunks(std::deque<CheckedFile>& files, unsigned threads, const std::function<void(std::uint64_t)>& report) {
  ChunkCheck(files, report).run(threads);
  for (CheckedFile& file : files) {
    std::sort(file.faults.begin(), file.faults.end(), [](const VerifyFault& a, const VerifyFault& b) {
      return (a.chunk ? a.chunk->number : 0) < (b.chunk ? b.chunk->number : 0);
    });
  }
}

}  // namespace reef::model::internal
