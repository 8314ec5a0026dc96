#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/model/gguf.h"

namespace reef::test {

/// The little-endian bytes of a number.
inline std::string le(std::uint64_t value, std::size_t width) {
  std::string bytes;
  for (std::size_t i = 0; i < width; ++i) bytes += static_cast<char>(value >> 8 * i & 0xFF);
  return bytes;
}
inline std::string le32(std::uint64_t value) { return le(value, 4); }
inline std::string le64(std::uint64_t value) { return le(value, 8); }
inline std::string gguf_string(std::string_view text) { return le64(text.size()) + std::string(text); }

/// The entry of a key: `value` holds the bytes after the type.
inline std::string gguf_entry(std::string_view key, std::uint32_t type, std::string_view value) {
  return gguf_string(key) + le32(type) + std::string(value);
}

/// The entry of a tensor; `dimensions` innermost first, as files hold them.
inline std::string gguf_tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                               std::uint64_t offset) {
  std::string entry = gguf_string(name) + le32(dimensions.size());
  for (const std::uint64_t size : dimensions) entry += le64(size);
  return entry + le32(type) + le64(offset);
}

/// A GGUF file of the entries given, with `data_bytes` bytes that count up after the padding.
inline std::string gguf(const std::vector<std::string>& entries, const std::vector<std::string>& tensors,
                        std::size_t data_bytes, std::size_t alignment = 32, std::uint32_t version = 3) {
  std::string file = "GGUF" + le32(version) + le64(tensors.size()) + le64(entries.size());
  for (const std::string& entry : entries) file += entry;
  for (const std::string& tensor : tensors) file += tensor;
  if (data_bytes > 0) file.resize((file.size() + alignment - 1) / alignment * alignment);
  for (std::size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

// The numbers of types in files.
inline constexpr std::uint32_t kU8 = 0, kU16 = 2, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8, kArray = 9,
                               kU64 = 10;
inline constexpr std::uint32_t kF32Tensor = 0, kQ4K = 12, kI8Tensor = 24;

inline model::GgufHeader parse(std::string_view file) {
  return model::parse_gguf({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, file.size(), "m.gguf");
}

/// The message of the refusal; empty when the file is accepted.
inline std::string refusal(std::string_view file) {
  try {
    parse(file);
    return {};
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK_FALSE(e.hint().empty());
    return e.what();
  }
}

inline std::string one_tensor(const std::string& tensor, std::size_t data = 32) { return gguf({}, {tensor}, data); }

inline std::string nested(int depth) {
  std::string value;
  for (int i = 1; i < depth; ++i) value += le32(kArray) + le64(1);
  return gguf({gguf_entry("a", kArray, value + le32(kU8) + le64(1) + "x")}, {}, 0);
}

/// Every kind of value, two tensors.
inline std::string sound_file() {
  return gguf(
      {gguf_entry("general.architecture", kString, gguf_string("llama")), gguf_entry("t.u8", kU8, "\xff"),
       gguf_entry("t.i8", 1, "\xff"), gguf_entry("t.u16", kU16, "\xff\xff"), gguf_entry("t.i16", 3, "\xfe\xff"),
       gguf_entry("t.u32", kU32, le32(UINT32_MAX)), gguf_entry("t.i32", kI32, le32(0x80000000)),
       gguf_entry("t.f32", kF32, le32(std::bit_cast<std::uint32_t>(1e-5F))), gguf_entry("t.no", kBool, le(0, 1)),
       gguf_entry("t.yes", kBool, "\1"), gguf_entry("t.u64", kU64, le64(UINT64_MAX)),
       gguf_entry("t.i64", 11, le64(1ULL << 63)), gguf_entry("t.f64", 12, le64(std::bit_cast<std::uint64_t>(0.1))),
       gguf_entry("tokenizer.ggml.tokens", kArray,
                  le32(kString) + le64(3) + gguf_string("a") + gguf_string("\xe2\x96") + gguf_string("")),
       gguf_entry("t.deep", kArray,
                  le32(kArray) + le64(2) + le32(kU8) + le64(1) + "x" + le32(kBool) + le64(2) + std::string("\0\1", 2))},
      {gguf_tensor("blk.0.w", {256, 3}, kQ4K, 0), gguf_tensor("a", {5, 1, 2}, kI8Tensor, 448)}, 448 + 10);
}

}  // namespace reef::test
