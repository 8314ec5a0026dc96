#include "reef/backup/internal/frame.h"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "reef/core/error.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {
namespace {

constexpr int kLevel = 3;
constexpr std::size_t kChecksumBytes = 4;

/// A sample of a frame: so many pieces, evenly spread.
constexpr std::size_t kSamples = 32;
constexpr std::size_t kSampleBytes = 2048;

// RFC 8878, of a frame in blocks that are stored as they are.
constexpr std::uint32_t kFrameMagic = 0xFD2FB528;
constexpr std::uint8_t kDescriptor = 0b10'1'0'0'1'00;  // content size in 4 bytes, single segment, checksum
constexpr std::size_t kMostBlockBytes = std::size_t{128} << 10;
constexpr std::size_t kBlockHeaderBytes = 3;

std::uint8_t* put_little(std::uint8_t* at, std::uint32_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
  return at;
}

void store(std::span<const std::uint8_t> content, FrameBuffer& into) {
  std::uint8_t* at = put_little(into.bytes.data(), kFrameMagic, 4);
  *at++ = kDescriptor;
  at = put_little(at, static_cast<std::uint32_t>(content.size()), 4);
  std::size_t done = 0;
  do {
    const std::size_t bytes = std::min(kMostBlockBytes, content.size() - done);
    const bool is_last = done + bytes == content.size();
    at = put_little(at, static_cast<std::uint32_t>(bytes << 3) | (is_last ? 1U : 0U), kBlockHeaderBytes);
    std::memcpy(at, content.data() + done, bytes);
    at += bytes;
    done += bytes;
  } while (done < content.size());
  at = put_little(at, static_cast<std::uint32_t>(io::xxh64(content)), kChecksumBytes);
  into.size = static_cast<std::size_t>(at - into.bytes.data());
}

std::size_t checked(std::size_t result) {
  if (ZSTD_isError(result) != 0) throw Error(Errc::failed, fmt::format("compress: {}", ZSTD_getErrorName(result)));
  return result;
}

}  // namespace

FrameBuffer::FrameBuffer() : bytes(ZSTD_COMPRESSBOUND(kFrameBytes)) {}

void FrameBuffer::append(std::string_view text) {
  std::memcpy(bytes.data() + size, text.data(), text.size());
  size += text.size();
}

struct FrameCompressor::Context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  ~Context() { ZSTD_freeCCtx(zstd); }
};

FrameCompressor::FrameCompressor() : context_(std::make_unique<Context>()) {
  if (context_->zstd == nullptr) throw std::bad_alloc();
  checked(ZSTD_CCtx_setParameter(context_->zstd, ZSTD_c_checksumFlag, 1));
}

FrameCompressor::~FrameCompressor() = default;

bool FrameCompressor::saves_enough(std::span<const std::uint8_t> content, FrameBuffer& scratch) {
  constexpr std::size_t kAll = kSamples * kSampleBytes;
  if (content.size() < 2 * kAll) return true;
  std::uint8_t* sample = scratch.bytes.data();
  const std::size_t step = content.size() / kSamples;
  for (std::size_t i = 0; i < kSamples; ++i)
    std::memcpy(sample + i * kSampleBytes, content.data() + i * step, kSampleBytes);
  checked(ZSTD_CCtx_setParameter(context_->zstd, ZSTD_c_compressionLevel, 1));
  const std::size_t bytes =
      checked(ZSTD_compress2(context_->zstd, sample + kAll, scratch.bytes.size() - kAll, sample, kAll));
  return bytes < kAll - kAll / 10;
}

void FrameCompressor::compress(std::span<const std::uint8_t> content, FrameBuffer& into) {
  if (!saves_enough(content, into)) return store(content, into);
  checked(ZSTD_CCtx_setParameter(context_->zstd, ZSTD_c_compressionLevel, kLevel));
  into.size =
      checked(ZSTD_compress2(context_->zstd, into.bytes.data(), into.bytes.size(), content.data(), content.size()));
}

struct FrameDecompressor::Context {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  ~Context() { ZSTD_freeDCtx(zstd); }
};

FrameDecompressor::FrameDecompressor() : context_(std::make_unique<Context>()) {
  if (context_->zstd == nullptr) throw std::bad_alloc();
}

FrameDecompressor::~FrameDecompressor() = default;

std::string FrameDecompressor::decompress(std::span<const std::uint8_t> frame, std::size_t size, std::uint8_t* into) {
  if (frame_length(frame) != frame.size()) return "it is not one frame of zstd's format";
  const std::size_t result = ZSTD_decompressDCtx(context_->zstd, into, size, frame.data(), frame.size());
  if (ZSTD_isError(result) != 0) return ZSTD_getErrorName(result);
  if (result != size) return fmt::format("it holds {} bytes in place of {}", result, size);
  return {};
}

std::size_t frame_length(std::span<const std::uint8_t> bytes) {
  const std::size_t length = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
  return ZSTD_isError(length) != 0 || length > bytes.size() ? 0 : length;
}

std::optional<std::size_t> frame_content(std::span<const std::uint8_t> frame) {
  const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > kFrameBytes) return std::nullopt;
  return static_cast<std::size_t>(size);
}

std::string compress_text(std::string_view bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  frame.resize(checked(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), kLevel)));
  return frame;
}

std::string decompress_text(std::string_view frame, std::size_t size, const std::string& name) {
  std::string bytes(size, '\0');
  const std::size_t result = ZSTD_decompress(bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(result) != 0) throw Error(Errc::corrupt, fmt::format("{}: {}", name, ZSTD_getErrorName(result)));
  if (result != size) throw Error(Errc::corrupt, fmt::format("{}: {} bytes in place of {}", name, result, size));
  return bytes;
}

}  // namespace reef::backup::internal
