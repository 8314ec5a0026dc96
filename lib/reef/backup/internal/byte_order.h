#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reef::backup::internal {

/// Appends integers, lowest byte first.
template <typename T>
void append_little(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}

/// Precondition: `bytes` has as many from `offset` on.
template <typename T>
T little_at(std::string_view bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes[offset + i])} << (8 * i);
  return static_cast<T>(value);
}

/// Takes fields off the front of bytes that nobody vouches for: once one reaches past the end, all are zero or empty
/// and has_failed() says so.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  T take() {
    const std::string_view bytes = take_bytes(sizeof(T));
    return bytes.size() == sizeof(T) ? little_at<T>(bytes, 0) : T{};
  }
  std::string_view take_bytes(std::uint64_t count) {
    if (count > rest_.size()) failed_ = true;
    if (failed_) return {};
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  /// Preceded by its length, u32.
  std::string take_text() { return std::string(take_bytes(take<std::uint32_t>())); }

  std::size_t left() const { return rest_.size(); }
  bool has_failed() const { return failed_; }
  bool is_spent() const { return !failed_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

inline void append_text(std::string& out, std::string_view text) {
  append_little(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

}  // namespace reef::backup::internal
