#include "http_key.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::http {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxKeyBytes = 64 << 10;

}  // namespace

std::string read_key(const fs::path& path) {
  std::string key = io::read_file(path, kMaxKeyBytes);
  key.resize(std::min(key.find_first_of("\r\n"), key.size()));
  while (!key.empty() && (key.back() == ' ' || key.back() == '\t')) key.pop_back();
  if (key.empty()) throw Error(Errc::usage, fmt::format("{} holds no key in its first line", io::shown(path)));
  return key;
}

Secrets read_secrets(const fs::path& path) {
  const std::string text = io::read_file(path, kMaxKeyBytes);
  const auto line_at = [&](std::size_t begin) {
    std::string line = begin < text.size() ? text.substr(begin, text.find('\n', begin) - begin) : "";
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.pop_back();
    return line;
  };
  Secrets secrets{line_at(0), line_at(std::min(text.find('\n'), text.size() - 1) + 1)};
  if (secrets.id.empty() || secrets.secret.empty())
    throw Error(Errc::usage, fmt::format("{} holds no key id and secret key in its first two lines", io::shown(path)));
  return secrets;
}

}  // namespace reef::http
