#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "reef/backup/archive_reader.h"
#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/byte_order.h"
#include "reef/backup/internal/frame.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"

namespace {

using namespace reef;

class TextSource : public backup::ArchiveSource {
 public:
  explicit TextSource(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) std::abort();
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  const std::string& name() const override { return name_; }

 private:
  std::string bytes_;
  std::string name_ = "fuzz";
};

/// Reads every byte of every file of at most 1 MiB.
class ReadingSink : public backup::Sink {
 public:
  void put(const backup::Entry& entry, backup::Content* content) override {
    if (entry.path.starts_with('/') || ("/" + entry.path + "/").find("/../") != std::string::npos) std::abort();
    if (content == nullptr || content->size_bytes() > (1 << 20)) return;
    std::string text(content->size_bytes(), '\0');
    content->read(0, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    for (std::uint64_t at = 0; at < text.size(); at = content->next_data(at) + 1) {
    }
    content->finish();
  }
};

void read_archive(const std::string& bytes) {
  const TextSource source(bytes);
  const backup::ArchiveReader reader(source, 1);
  ReadingSink sink;
  reader.read({}, sink, no_progress(), [](const std::string&, const std::string&) {});
  std::uint64_t read = 0;
  reader.verify(1, no_progress(), read);
}

std::string frame_of(const std::string& tar) {
  backup::internal::FrameBuffer frame;
  backup::internal::FrameCompressor compressor;
  compressor.compress({reinterpret_cast<const std::uint8_t*>(tar.data()), tar.size()}, frame);
  return {reinterpret_cast<const char*>(frame.bytes.data()), frame.size};
}

/// An index with true checksums around bytes that are made up.
std::string index_of(const std::string& raw) {
  using namespace backup::internal;
  const std::string packed = compress_text(raw);
  std::string frame;
  append_little(frame, std::uint32_t{0x184D2A5D});
  append_little(frame, static_cast<std::uint32_t>(packed.size() + kIndexHeaderBytes - 8));
  frame += "RFAX";
  append_little(frame, kIndexVersion);
  append_little(frame, std::uint64_t{raw.size()});
  append_little(frame, io::xxh3({reinterpret_cast<const std::uint8_t*>(packed.data()), packed.size()}));
  return frame + packed;
}

}  // namespace

/// The first byte tells what the others are: an archive, the tar archive in a frame, or what an index holds. All give
/// entries that lie in the tree, or Error{corrupt}.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > (1 << 20)) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) read_archive(rest);
    if (data[0] % 3 == 1) read_archive(frame_of(rest));
    if (data[0] % 3 == 2) backup::internal::parse_index(index_of(rest), "fuzz");
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) std::abort();
  }
  return 0;
}
