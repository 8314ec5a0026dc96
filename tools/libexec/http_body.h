#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "reef/io/unique_handle.h"

namespace reef::http {

/// The body of a request: a whole file, held in memory, or a part of one, read as it is sent. What fails while libcurl
/// reads is kept for the result, since nothing may be thrown through it.
class Body {
 public:
  /// Throws Error{usage} for a part without its digest or beyond the file, Error{failed}.
  explicit Body(const nlohmann::json& request);

  bool is_there() const { return is_there_; }
  bool is_part() const { return static_cast<bool>(fd_); }
  /// Of a whole file.
  const std::string& text() const { return text_; }
  std::uint64_t bytes() const { return is_part() ? size_ : text_.size(); }
  /// Of the body, which may be none, in hexadecimal digits.
  const std::string& sha256() const { return sha256_; }

  /// Of a part: the next bytes; -1 when it cannot be read, and error() was told why.
  long read(char* into, std::size_t count);
  /// Where the next read begins: a request may have to be sent again.
  bool seek(std::int64_t offset);
  const std::string& error() const { return error_; }

 private:
  std::filesystem::path file_;
  io::UniqueFd fd_;
  std::string text_, sha256_, error_;
  bool is_there_ = false;
  std::uint64_t offset_ = 0, size_ = 0, at_ = 0;
};

}  // namespace reef::http
