#include "reef/model/stream_frame.h"

namespace reef::model {
namespace {

constexpr std::uint32_t kMagic = 0x31534652;  // "RFS1"

template <typename T>
std::uint8_t* put(std::uint8_t* at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) *at++ = static_cast<std::uint8_t>(value >> (8 * i));
  return at;
}

template <typename T>
const std::uint8_t* get(const std::uint8_t* at, T& value) {
  std::uint64_t read = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) read |= std::uint64_t{*at++} << (8 * i);
  value = static_cast<T>(read);
  return at;
}

}  // namespace

FrameBytes encode_frame(const FrameHeader& header) {
  FrameBytes bytes{};
  std::uint8_t* at = put(bytes.data(), kMagic);
  at = put(at, static_cast<std::uint16_t>(header.type));
  at = put(at, std::uint16_t{0});
  at = put(at, header.layer);
  at = put(at, header.index);
  at = put(at, header.length);
  at = put(at, header.offset);
  put(at, header.xxh3);
  return bytes;
}

std::optional<FrameHeader> decode_frame(std::span<const std::uint8_t, sizeof(FrameBytes)> bytes) {
  FrameHeader header;
  std::uint32_t magic = 0;
  std::uint16_t reserved = 0;
  const std::uint8_t* at = get(bytes.data(), magic);
  if (magic != kMagic) return std::nullopt;
  std::uint16_t type = 0;
  at = get(at, type);
  header.type = static_cast<FrameType>(type);
  at = get(at, reserved);
  at = get(at, header.layer);
  at = get(at, header.index);
  at = get(at, header.length);
  at = get(at, header.offset);
  get(at, header.xxh3);
  return header;
}

}  // namespace reef::model
