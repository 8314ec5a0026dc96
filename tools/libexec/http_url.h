#pragma once

#include <string>

namespace reef::http {

/// The parts of a URL that decide to whom a request goes.
class Url {
 public:
  /// Throws Error{usage} for what is no URL.
  explicit Url(const std::string& text);

  /// "host:9000": what a Host header says.
  const std::string& authority() const { return authority_; }
  /// Scheme, host and port, the default one included.
  const std::string& origin() const { return origin_; }

 private:
  std::string authority_;
  std::string origin_;
};

/// The URL with the fields of its query sorted and each with its "=": services sign it so, libcurl 7.88 as it is
/// written.
std::string with_sorted_query(const std::string& url);

}  // namespace reef::http
