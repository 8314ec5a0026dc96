#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "reef/core/error.h"

namespace reef::backup::internal {

/// Numbers of a binary format, little-endian.
class ByteWriter {
 public:
  void u8(std::uint8_t value) { bytes_ += static_cast<char>(value); }
  void u32(std::uint32_t value) { number(value); }
  void u64(std::uint64_t value) { number(value); }
  void i64(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }
  void raw(std::string_view bytes) { bytes_ += bytes; }
  void raw(std::span<const std::uint8_t> bytes) {
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  /// Its length in 32 bits, and it.
  void text(std::string_view text) {
    u32(static_cast<std::uint32_t>(text.size()));
    raw(text);
  }

  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }
  void clear() { bytes_.clear(); }
  /// Sets a number that was written before what it counts was known.
  void set_u32(std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < sizeof value; ++i) bytes_[at + i] = static_cast<char>(value >> (8 * i));
  }

 private:
  template <typename T>
  void number(T value) {
    for (std::size_t i = 0; i < sizeof value; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }

  std::string bytes_;
};

/// Reads what ByteWriter wrote out of bytes that may be anything: no read goes beyond their end. `where` stands in
/// messages and must outlive it.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(raw(1)[0]); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  std::string_view text() { return raw(u32()); }
  std::string_view raw(std::size_t count) {
    if (count > left()) fail("ends too early");
    const std::string_view part = bytes_.substr(at_, count);
    at_ += count;
    return part;
  }
  template <std::size_t Count>
  void raw(std::array<std::uint8_t, Count>& into) {
    std::memcpy(into.data(), raw(Count).data(), Count);
  }

  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  bool at_end() const { return left() == 0; }
  /// Throws Error{corrupt}.
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Errc::corrupt, fmt::format("{} {} (at byte {} of {})", where_, what, at_, bytes_.size()),
                "run 'reef-backup verify', which tells what else is damaged");
  }

 private:
  template <typename T>
  T number() {
    const std::string_view part = raw(sizeof(T));
    T value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      value |= static_cast<T>(static_cast<T>(static_cast<std::uint8_t>(part[i])) << (8 * i));
    }
    return value;
  }

  std::string_view bytes_;
  std::string_view where_;
  std::size_t at_ = 0;
};

}  // namespace reef::backup::internal
