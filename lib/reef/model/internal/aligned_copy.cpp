#include "reef/model/internal/aligned_copy.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/ordered_reader.h"
#include "reef/model/internal/range_digests.h"

namespace reef::model::internal {
namespace {

/// A full disk fails here, before anything is read. The size stays what was written.
void make_room(int fd, std::uint64_t bytes, const std::filesystem::path& path) {
  if (io::plain_io() || ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return;
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) throw_errno("allocate", io::shown(path));
}

class AlignedCopy {
 public:
  AlignedCopy(const VerifiedSource& source, const SafetensorsHeader& header, const AlignedLayout& layout,
              const std::filesystem::path& target)
      : source_(source),
        header_(header),
        layout_(layout),
        path_(target),
        target_(io::open_file(target, O_WRONLY | O_CREAT | O_EXCL)) {
    ranges_.add({0, header.data_offset, &digests_.head});
    for (const Tensor& tensor : header.tensors)
      ranges_.add({header.data_offset + tensor.begin, header.data_offset + tensor.end, &digests_.tensors[tensor.name]});
  }

  SourceDigests run(const OnBytes& on_bytes) {
    make_room(target_.get(), layout_.head.size() + header_.data_bytes, path_);
    io::pwrite_all(target_.get(), layout_.head, 0, path_);
    const std::vector<io::Piece> pieces = io::pieces_of(source_.file.file);
    io::OrderedReader reader(pieces);
    while (const auto read = reader.next()) {
      require_sound(*read);
      place(pieces[read->piece].offset, read->bytes);
      ranges_.take(pieces[read->piece].offset, read->bytes);
      on_bytes(read->bytes.size());
    }
    ranges_.take(source_.file.file.size(), {});
    require_sound_whole();
    io::sync_file(target_.get(), path_);
    ::posix_fadvise(target_.get(), 0, 0, POSIX_FADV_DONTNEED);
    return std::move(digests_);
  }

 private:
  [[noreturn]] void fail(const VerifyFault& fault) const {
    throw Error(Errc::corrupt, fmt::format("{}: {}", source_.model, fault.text()),
                "nothing was changed; import the model again, then repack it");
  }

  void require_sound(const io::PieceRead& read) {
    const bool has_chunks = source_.file.has_chunks();
    if (!has_chunks && read.error == 0) whole_.update(read.bytes);
    if (!has_chunks && read.error == 0) return;
    const io::Sha256Digest digest = read.error == 0 ? io::sha256(read.bytes) : io::Sha256Digest{};
    if (const auto fault = chunk_fault(source_.file, read.piece, read.error, digest)) fail(*fault);
  }

  void require_sound_whole() {
    if (source_.file.has_chunks()) return;
    const std::string digest = io::to_hex(whole_.finish());
    if (digest == source_.file.expected.sha256) return;
    fail({source_.file.expected.path,
          fmt::format("sha256 is {}, manifest says {}", digest, source_.file.expected.sha256), std::nullopt});
  }

  /// Bytes of the source from `offset` on.
  void place(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    const std::uint64_t end = offset + bytes.size();
    for (; next_ < header_.tensors.size(); ++next_) {
      const Tensor& tensor = header_.tensors[next_];
      const std::uint64_t first = header_.data_offset + tensor.begin, last = header_.data_offset + tensor.end;
      const std::uint64_t from = std::max(first, offset), to = std::min(last, end);
      if (from < to) {
        const auto part = bytes.subspan(from - offset, to - from);
        io::pwrite_all(target_.get(), {reinterpret_cast<const char*>(part.data()), part.size()},
                       layout_.head.size() + layout_.begins[next_] + (from - first), path_);
      }
      if (last > end) return;
    }
  }

  const VerifiedSource& source_;
  const SafetensorsHeader& header_;
  const AlignedLayout& layout_;
  const std::filesystem::path& path_;
  io::UniqueFd target_;
  SourceDigests digests_;
  RangeDigests ranges_;
  io::Sha256 whole_;      ///< of the source, where its chunks have no digests
  std::size_t next_ = 0;  ///< tensor that is not written to its end
};

}  // namespace

SourceDigests copy_aligned(const VerifiedSource& source, const SafetensorsHeader& header, const AlignedLayout& layout,
                           const std::filesystem::path& target, const OnBytes& on_bytes) {
  return AlignedCopy(source, header, layout, target).run(on_bytes);
}

}  // namespace reef::model::internal
