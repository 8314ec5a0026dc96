#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace reef::model {

/// What a frame of reef-stream(5) carries.
enum class FrameType : std::uint16_t {
  header = 1,   ///< JSON: the table of what follows; the first frame
  tensor = 2,   ///< bytes of a tensor
  segment = 3,  ///< bytes of a compiled segment
  end = 4,      ///< JSON: totals; the last frame of a stream that is whole
  error = 5,    ///< JSON: why the stream is not whole; the last frame
};

/// In `layer` and `index`: none.
inline constexpr std::uint32_t kNoIndex = UINT32_MAX;
/// Tensors and segments come in frames of no more.
inline constexpr std::size_t kMaxFrameBytes = std::size_t{2} << 20;

struct FrameHeader {
  FrameType type = FrameType::end;
  std::uint32_t layer = kNoIndex;  ///< number of the layer in its stack
  std::uint32_t index = kNoIndex;  ///< of the tensor or segment in the table of the first frame
  std::uint64_t length = 0;        ///< bytes of payload behind the header
  std::uint64_t offset = 0;        ///< where they begin in the tensor or segment
  std::uint64_t xxh3 = 0;          ///< of the payload

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

/// As it stands in a stream, little-endian: u32 magic "RFS1", u16 type, u16 zero, u32 layer, u32 index, u64 length,
/// u64 offset, u64 xxh3.
using FrameBytes = std::array<std::uint8_t, 40>;
FrameBytes encode_frame(const FrameHeader& header);
/// nullopt for bytes that do not begin with the magic.
std::optional<FrameHeader> decode_frame(std::span<const std::uint8_t, sizeof(FrameBytes)> bytes);

}  // namespace reef::model
