#pragma once

#include <filesystem>
#include <string>

namespace reef::http {

/// The first line of a file, without blanks at its end. Throws Error{usage} for an empty one.
std::string read_key(const std::filesystem::path& path);

struct Secrets {
  std::string id, secret;
};

/// The first two lines of a file. Throws Error{usage} where one is missing.
Secrets read_secrets(const std::filesystem::path& path);

}  // namespace reef::http
