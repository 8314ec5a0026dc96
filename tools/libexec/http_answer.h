#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "reef/io/unique_handle.h"

namespace reef::http {

/// An answer on its way into its file. What fails on this side is kept for the result, since nothing may be thrown
/// through libcurl.
class Answer {
 public:
  /// Opens response_file, emptied unless a download goes on with it. Throws Error{failed}.
  explicit Answer(const nlohmann::json& request);

  /// The Range that is asked for ("1048576-"), and the ETag that it is asked under; empty: none.
  const std::string& range() const { return range_; }
  const std::string& if_range() const { return if_range_; }

  void begin_attempt();
  void redirected() { ++redirects_; }
  int redirects() const { return redirects_; }

  void header(std::string_view line);
  /// False to end the transfer: fail() was told why.
  bool take(std::string_view bytes);
  /// After a complete answer, which may have had no body.
  void finish();

  void fail(std::string kind, std::string error);
  const std::string& kind() const { return kind_; }
  const std::string& error() const { return error_; }
  const std::string& message() const { return message_; }
  std::optional<std::uint64_t> total_bytes() const { return total_bytes_; }
  /// Names in small letters; those of a size and number that an honest answer has.
  const std::map<std::string, std::string>& headers() const { return headers_; }
  /// Written to the file.
  std::uint64_t received_bytes() const { return received_bytes_; }

 private:
  bool begin();
  bool begin_file();
  void start_anew();
  bool keep(std::string_view bytes);

  std::filesystem::path file_;
  io::UniqueFd fd_;
  std::uint64_t size_ = 0;  ///< of the file
  std::uint64_t limit_ = 0;
  bool is_download_ = false;
  std::filesystem::path etag_file_;
  std::optional<std::uint64_t> wanted_bytes_;
  std::string range_, if_range_;
  int redirects_ = 0;

  bool has_begun_ = false, goes_to_file_ = false;
  unsigned status_ = 0;
  std::map<std::string, std::string> headers_;
  std::string etag_, content_range_;
  std::optional<std::uint64_t> length_;
  std::optional<std::uint64_t> total_bytes_;
  std::uint64_t received_bytes_ = 0;
  std::string kind_, error_, message_;
};

}  // namespace reef::http
