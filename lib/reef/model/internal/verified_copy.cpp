#include "reef/model/internal/verified_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/io/file.h"
#include "reef/io/mapped_file.h"
#include "reef/io/ordered_reader.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

void require_sound(const VerifiedSource& source, const io::PieceRead& read, const io::Sha256Digest& digest) {
  if (const auto fault = chunk_fault(source.file, read.piece, read.error, digest))
    throw Error(Errc::corrupt, fmt::format("{}: {}", source.model, fault->text()),
                "nothing was loaded; 'reef-model verify' finds every fault, a new import mends them");
}

/// All of its blocks are there before the first byte: a full filesystem fails here, and not as SIGBUS in a mapping.
void make_room(int fd, std::uint64_t bytes, const fs::path& path) {
  while (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    if (errno != EINTR) throw_errno("truncate", io::shown(path));
    check_interrupt();
  }
  while (bytes > 0 && ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0) {
    if (errno == EOPNOTSUPP) return;
    if (errno != EINTR) throw_errno("allocate", io::shown(path));
    check_interrupt();
  }
}

struct Unmap {
  std::size_t bytes;
  void operator()(void* memory) const { ::munmap(memory, bytes); }
};

std::unique_ptr<void, Unmap> map_for_writing(int fd, std::uint64_t bytes, const fs::path& path) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) throw_errno("map", io::shown(path));
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  return {memory, Unmap{bytes}};
}

/// Counts on all threads, tells on the calling one.
class Count {
 public:
  explicit Count(const OnBytes& on_bytes) : on_bytes_(on_bytes) {}
  void add(std::uint64_t bytes) { done_ += bytes; }
  void tell() {
    const std::uint64_t now = done_;
    on_bytes_(now - told_);
    told_ = now;
  }

 private:
  const OnBytes& on_bytes_;
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t told_ = 0;
};

void require_all_sound(const VerifiedSource& source, std::span<const io::PieceRead> done, Count& count) {
  const auto digests = digests_of(done);
  for (std::size_t i = 0; i < done.size(); ++i) {
    require_sound(source, done[i], digests[i]);
    count.add(done[i].bytes.size());
  }
}

/// A file that is written past the page cache, where its filesystem allows that.
class Output {
 public:
  Output(const fs::path& path, std::uint64_t bytes)
      : path_(path), bytes_(bytes), plain_(io::open_file(path, O_RDWR | O_CREAT)) {
    make_room(plain_.get(), bytes, path);
    if (!io::plain_io()) direct_ = io::UniqueFd(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
  }

  /// `bytes` has room for whole sectors. Of any thread.
  void write(std::uint64_t offset, std::span<const std::uint8_t> bytes) const {
    constexpr std::size_t kSector = io::DirectFile::kSector;
    const std::size_t whole = (bytes.size() + kSector - 1) / kSector * kSector;
    if (direct_ &&
        ::pwrite(direct_.get(), bytes.data(), whole, static_cast<off_t>(offset)) == static_cast<ssize_t>(whole))
      return;
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    io::pwrite_all(plain_.get(), text, offset, path_);  // from the start: what a short write wrote is the same
  }

  void finish() const {
    if (::ftruncate(plain_.get(), static_cast<off_t>(bytes_)) != 0) throw_errno("truncate", io::shown(path_));
    io::sync_file(plain_.get(), path_);
  }

 private:
  const fs::path& path_;
  std::uint64_t bytes_;
  io::UniqueFd plain_, direct_;
};

}  // namespace

void copy_into_memory(const VerifiedSource& source, int fd, const fs::path& target, unsigned threads,
                      const OnBytes& on_bytes) {
  const io::DirectFile& file = source.file.file;
  const std::vector<io::Piece> pieces = io::pieces_of(file);
  Count count(on_bytes);
  make_room(fd, file.size(), target);
  const auto memory = map_for_writing(fd, file.size(), target);
  auto* begin = static_cast<std::uint8_t*>(memory.get());
  io::read_pieces(
      pieces, {threads, [&](std::size_t piece) { return begin + pieces[piece].offset; }},
      [&](std::size_t, std::span<const io::PieceRead> done) { require_all_sound(source, done, count); },
      [&] { count.tell(); });
}

void copy_by_all(const VerifiedSource& source, const fs::path& target, unsigned threads, const OnBytes& on_bytes) {
  const io::DirectFile& file = source.file.file;
  const std::vector<io::Piece> pieces = io::pieces_of(file);
  Count count(on_bytes);
  const Output output(target, file.size());
  io::read_pieces(
      pieces, {.threads = threads, .copies_cached = true},
      [&](std::size_t, std::span<const io::PieceRead> done) {
        require_all_sound(source, done, count);
        for (const io::PieceRead& read : done) output.write(pieces[read.piece].offset, read.bytes);
      },
      [&] { count.tell(); });
  output.finish();
}

void copy_in_order(const VerifiedSource& source, const fs::path& target, const OnBytes& on_bytes) {
  const io::DirectFile& file = source.file.file;
  const std::vector<io::Piece> pieces = io::pieces_of(file);
  const Output output(target, file.size());
  io::OrderedReader reader(pieces);
  while (const auto read = reader.next()) {
    require_sound(source, *read, io::sha256(read->bytes));
    output.write(pieces[read->piece].offset, read->bytes);
    on_bytes(read->bytes.size());
  }
  output.finish();
}

void bring_into_page_cache(const VerifiedSource& source, unsigned threads, const OnBytes& on_bytes) {
  const io::DirectFile& file = source.file.file;
  const io::MappedFile mapped(file.path());
  if (mapped.size() != file.size())
    throw Error(Errc::failed, fmt::format("{} changed while it was read", io::shown(file.path())), "try again");
  const std::size_t chunks = source.file.chunks.size(), pairs = (chunks + 1) / 2;
  Count count(on_bytes);
  share_work(
      threads, pairs,
      [&](std::size_t, std::size_t pair) {
        io::PieceRead pieces[2];
        const std::size_t several = std::min<std::size_t>(2, chunks - 2 * pair);
        for (std::size_t i = 0; i < several; ++i) {
          const std::size_t chunk = 2 * pair + i;
          const std::uint64_t begin = chunk * kChunkBytes;
          const std::size_t bytes = std::min<std::size_t>(kChunkBytes, mapped.size() - begin);
          auto* address = const_cast<std::uint8_t*>(mapped.data()) + begin;
          pieces[i] = {chunk, {address, bytes}, 0};
          // A page that cannot be read is an error here, where a look at it would be SIGBUS.
          if (::madvise(address, bytes, MADV_POPULATE_READ) != 0 && errno != EINVAL) pieces[i] = {chunk, {}, errno};
        }
        require_all_sound(source, {pieces, several}, count);
      },
      [&] { count.tell(); });
}

}  // namespace reef::model::internal
