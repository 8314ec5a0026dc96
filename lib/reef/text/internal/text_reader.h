#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::text::internal {

/// Opens a regular file for reading; a folder, FIFO or device is refused (its size is unknown and a
/// read may never return).
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Up to `count` bytes at `offset` into `into`; fewer only at the end of the file.
  std::size_t read(std::uint64_t offset, char* into, std::size_t count) const;
  std::string head(std::size_t count) const;

 private:
  std::filesystem::path path_;
  io::UniqueFd fd_;
  std::uint64_t size_ = 0;
};

enum class Encoding { utf8, utf16_little, utf16_big };
/// By the byte order mark; UTF-8 without one. `mark_bytes` is the length of the mark.
Encoding encoding_of(std::string_view head, std::size_t& mark_bytes);

/// Turns bytes that arrive in pieces into valid UTF-8: UTF-16 is decoded, ill-formed sequences
/// become U+FFFD, a character cut by the end of a piece waits for the next one.
class Decoder {
 public:
  explicit Decoder(Encoding encoding) : encoding_(encoding) {}
  /// `last`: nothing follows, so that a cut character is ill-formed.
  void decode(std::string_view bytes, bool last, std::string& out);

 private:
  void decode_utf16(std::string_view bytes, bool last, std::string& out);

  Encoding encoding_;
  std::string held_;
  char32_t high_surrogate_ = 0;
};

/// All of `bytes` as valid UTF-8, the byte order mark taken off.
std::string decode_whole(std::string_view bytes);

/// The text of a file, piece by piece.
class TextReader {
 public:
  explicit TextReader(const InputFile& file);
  /// Appends text until `out` holds `target` bytes or the file ends; false at its end.
  bool fill(std::string& out, std::size_t target);

 private:
  const InputFile& file_;
  std::uint64_t offset_ = 0;
  Decoder decoder_;
  std::string raw_;
};

}  // namespace reef::text::internal
