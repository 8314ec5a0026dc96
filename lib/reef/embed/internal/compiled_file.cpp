#include "reef/embed/internal/compiled_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "reef/core/error.h"

namespace reef::embed::internal {
namespace {

[[noreturn]] void refuse(const io::MappedFile& file, const std::string& why) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", file.path(), why),
              "it is a cache: remove it, and the next run compiles it again");
}

/// Asked for before the header says how much it is: the header and a usual vocabulary, which the
/// tokenizer reads in full. Later requests then wait for one reading of the drive less.
constexpr std::size_t kOpeningBytes = std::size_t{1} << 20;

/// Walks the sections in the order in which compile.cpp writes them, never past the end.
class Sections {
 public:
  explicit Sections(const io::MappedFile& file) : file_(file) {}

  template <typename T>
  const T* take(std::size_t count, std::size_t alignment = kLine) {
    at_ = round_up(at_, alignment);
    if (at_ > file_.size() || count > (file_.size() - at_) / sizeof(T)) {
      refuse(file_, fmt::format("a section of {} bytes at {} passes the end of the file, {}", count * sizeof(T), at_,
                                file_.size()));
    }
    const T* result = reinterpret_cast<const T*>(file_.data() + at_);
    at_ += count * sizeof(T);
    return result;
  }
  Matrix matrix(std::size_t in, std::size_t out) {
    Matrix result;
    result.in = in;
    result.out = out;
    result.weights = take<std::int8_t>(in * round_up(out, kPanelPair));
    result.scale = take<float>(out);
    result.bias = take<float>(out);
    result.sums = take<std::int32_t>(out);
    return result;
  }
  Norm norm(std::size_t width) {
    const float* gain = take<float>(width);
    return {gain, take<float>(width)};
  }
  std::size_t at() const { return at_; }

 private:
  const io::MappedFile& file_;
  std::size_t at_ = kHeaderBytes;
};

/// The same bounds that read_bert_config() sets, so that no product of them overflows 64 bits.
bool plausible(const FileHeader& h) {
  return h.layers >= 1 && h.layers <= 1024 && h.hidden >= 16 && h.hidden <= 16384 && h.hidden % 16 == 0 &&
         h.heads >= 1 && h.heads <= h.hidden && h.hidden % h.heads == 0 && h.ffn >= 16 && h.ffn <= kWidestInput &&
         h.heads * round_up(h.hidden / h.heads, kHeadStep) <= kWidestInput && h.ffn % 16 == 0 && h.words >= 1 &&
         h.words <= (1U << 24) && h.positions >= 2 && h.positions <= (1U << 20) && std::isfinite(h.epsilon) &&
         h.epsilon > 0 && h.vocabulary_bytes <= h.file_bytes;
}

}  // namespace

std::uint64_t header_checksum(const FileHeader& header) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(&header), offsetof(FileHeader, header_xxh3)});
}

CompiledFile::CompiledFile(const std::filesystem::path& path) : map_(path) {
  map_.load(0, std::min(kOpeningBytes, map_.size()));
  if (map_.size() < kHeaderBytes) refuse(map_, fmt::format("{} bytes, shorter than a header", map_.size()));
  std::memcpy(&header_, map_.data(), sizeof header_);
  if (header_.magic != kMagic) refuse(map_, "no compiled encoder");
  if (header_.version != kFormatVersion) {
    refuse(map_, fmt::format("format {}, this program reads {}", header_.version, kFormatVersion));
  }
  if (header_.header_xxh3 != header_checksum(header_)) refuse(map_, "the header does not match its checksum");
  if (header_.file_bytes != map_.size()) {
    refuse(map_, fmt::format("{} bytes in place of {}", map_.size(), header_.file_bytes));
  }
  if (!plausible(header_)) refuse(map_, "the header holds a size out of its bounds");
  find_sections();
}

void CompiledFile::find_sections() {
  Sections sections(map_);
  network_.hidden = header_.hidden;
  network_.heads = header_.heads;
  network_.head_width = round_up(header_.hidden / header_.heads, kHeadStep);
  network_.ffn = header_.ffn;
  network_.words = header_.words;
  network_.positions = header_.positions;
  network_.epsilon = header_.epsilon;
  const std::size_t hidden = network_.hidden;
  const std::size_t inner = network_.inner();
  vocabulary_ = {sections.take<std::uint8_t>(header_.vocabulary_bytes), header_.vocabulary_bytes};
  network_.first_norm = sections.norm(hidden);
  network_.layers.reserve(header_.layers);
  for (std::uint32_t i = 0; i < header_.layers; ++i) {
    Layer layer;
    layer.qkv = sections.matrix(hidden, 3 * inner);
    layer.mix = sections.matrix(inner, hidden);
    layer.after_mix = sections.norm(hidden);
    layer.up = sections.matrix(hidden, network_.ffn);
    layer.down = sections.matrix(network_.ffn, hidden);
    layer.after_down = sections.norm(hidden);
    network_.layers.push_back(layer);
  }
  if (sections.at() != header_.front_bytes) refuse(map_, "the sections do not end where the header says");
  network_.position_rows = sections.take<float>(network_.positions * hidden, kPage);
  network_.word_rows = sections.take<std::uint8_t>(network_.words * network_.row_bytes(), kPage);
  if (sections.at() != map_.size()) refuse(map_, "the file goes on behind its last section");
  const std::size_t rows = header_.front_bytes / kPage * kPage;
  map_.advise_random(rows, map_.size() - rows);
}

bool CompiledFile::payload_is_intact() const {
  return io::xxh3(map_.bytes().subspan(kHeaderBytes)) == header_.payload_xxh3;
}

void CompiledFile::read_ahead(const Tokens& tokens) const {
  const auto offset_of = [&](const void* at) {
    return static_cast<std::size_t>(static_cast<const std::uint8_t*>(at) - map_.data());
  };
  const std::size_t row = network_.row_bytes();
  for (const std::uint32_t id : tokens) map_.read_ahead(offset_of(network_.word_rows) + id * row, row);
  map_.read_ahead(offset_of(network_.position_rows), tokens.size() * network_.hidden * sizeof(float));
  read_ahead();
}

void CompiledFile::read_ahead() const { map_.load(0, header_.front_bytes); }

}  // namespace reef::embed::internal
