#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace reef::embed::internal {

/// What came back from one request: tools/libexec/reef-http.cpp documents the fields.
struct HttpReply {
  int status = 0;    ///< 0: no answer
  std::string kind;  ///< why there is none: "connect", "timeout", …
  std::string error;
  std::chrono::seconds retry_after{0};
  std::string body;
};

/// Sends requests through libexec/reef/reef-http. Owns a private folder for their files, which is
/// removed with the object.
class HttpHelper {
 public:
  /// scratch: where the folder is made. Throws Error{not_found} when the helper is not installed.
  explicit HttpHelper(const std::filesystem::path& scratch);
  HttpHelper(const HttpHelper&) = delete;
  HttpHelper& operator=(const HttpHelper&) = delete;
  ~HttpHelper();

  /// Posts JSON. key_file may be empty. Throws Error{usage} when the request cannot be sent as
  /// configured (an unreadable key, say), Error{interrupted} on a signal.
  HttpReply post(const std::string& url, const std::filesystem::path& key_file, std::string_view json,
                 std::chrono::milliseconds timeout, std::uint64_t max_response_bytes) const;

 private:
  std::filesystem::path program_;
  std::filesystem::path folder_;
};

}  // namespace reef::embed::internal
