#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "reef/io/huge_array.h"

namespace reef::backup::internal {

/// What one frame holds at most; such frames are compressed, read and checked on their own.
inline constexpr std::size_t kFrameBytes = std::size_t{4} << 20;

/// Memory that is used again and again for one frame, as it is or compressed.
struct FrameBuffer {
  io::HugeArray<std::uint8_t> bytes;
  std::size_t size = 0;

  FrameBuffer();
  std::span<const std::uint8_t> content() const { return {bytes.data(), size}; }
  std::size_t room() const { return bytes.size() - size; }
  void append(std::string_view text);
};

/// Makes frames of zstd's format, each with its content's size and checksum. Of one thread.
class FrameCompressor {
 public:
  FrameCompressor();
  ~FrameCompressor();
  FrameCompressor(const FrameCompressor&) = delete;
  FrameCompressor& operator=(const FrameCompressor&) = delete;

  /// Level 3; or as it is, in blocks of the format that say so, where a sample shows that compressing saves less than a
  /// tenth: for vectors of floats (.92) that is four times as fast.
  void compress(std::span<const std::uint8_t> content, FrameBuffer& into);

 private:
  bool saves_enough(std::span<const std::uint8_t> content, FrameBuffer& scratch);

  struct Context;
  std::unique_ptr<Context> context_;
};

/// Reads such frames. Of one thread.
class FrameDecompressor {
 public:
  FrameDecompressor();
  ~FrameDecompressor();
  FrameDecompressor(const FrameDecompressor&) = delete;
  FrameDecompressor& operator=(const FrameDecompressor&) = delete;

  /// What is wrong with the frame, empty where nothing is: it must give `size` bytes, and its checksum.
  std::string decompress(std::span<const std::uint8_t> frame, std::size_t size, std::uint8_t* into);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// The bytes of the frame that `bytes` begins with, one that is skipped included; 0 where it is none, or goes on past
/// their end.
std::size_t frame_length(std::span<const std::uint8_t> bytes);
/// The content that the frame says it has; nullopt where it says none, or more than kFrameBytes.
std::optional<std::size_t> frame_content(std::span<const std::uint8_t> frame);

/// The whole of `bytes` as one frame, and back: of tables, in memory. The latter throws Error{corrupt} with `name` for
/// anything but `size` bytes.
std::string compress_text(std::string_view bytes);
std::string decompress_text(std::string_view frame, std::size_t size, const std::string& name);

}  // namespace reef::backup::internal
