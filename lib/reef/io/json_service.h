#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "reef/core/error.h"
#include "reef/io/http.h"

namespace reef::io {

/// A service that is asked by posting JSON, as a section of system.yaml names it.
struct JsonServiceOptions {
  std::string section;  ///< "endpoints.embedding": errors name its keys
  std::string path;     ///< what `url` ends in, such as "/v1/embeddings"
  std::string url;
  std::string model;
  std::filesystem::path key_file;  ///< empty: no key is sent
  std::chrono::milliseconds timeout{30000};
  std::uint64_t max_response_bytes = 0;

  /// Error{usage} for an address that is none, a model without a name, a key that cannot be read.
  void require_usable() const;
};

/// Asks it through HttpHelper, up to four times while another try may find an answer.
class JsonService {
 public:
  /// scratch: the folder that the helper's files lie in. Throws as JsonServiceOptions::require_usable() and
  /// HttpHelper do.
  JsonService(JsonServiceOptions options, const std::filesystem::path& scratch);

  struct Reply {
    HttpReply http;
    int attempts = 1;
  };
  /// The last reply, whatever it is. Throws as HttpHelper::post() does.
  Reply ask(std::string_view json) const;
  /// Why a reply is no answer, with what to look at.
  Error error_of(const Reply& reply) const;

 private:
  std::string hint_for(const HttpReply& reply) const;

  JsonServiceOptions options_;
  HttpHelper http_;
};

/// The reason that a service gives in the body of an error, made printable and short; may be empty.
std::string service_message(std::string_view answer);

}  // namespace reef::io
