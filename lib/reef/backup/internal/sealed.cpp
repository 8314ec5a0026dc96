#include "reef/backup/internal/sealed.h"

#include <fmt/format.h>

#include <span>
#include <string_view>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::string_view kMember = ",\"xxh3\":\"";
constexpr std::string_view kEnd = "\"}\n";
constexpr std::size_t kSealBytes = kMember.size() + 16 + kEnd.size();

std::string seal_of(std::string_view body) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(body.data());
  return fmt::format("{}{:016x}{}", kMember, io::xxh3({bytes, body.size()}), kEnd);
}

}  // namespace

std::string seal(const std::string& object) {
  const std::string body = object.substr(0, object.size() - 1);
  return body + seal_of(body);
}

std::string unseal(const std::string& text, const std::filesystem::path& path, const std::string& hint) {
  if (text.size() > kSealBytes) {
    const std::string_view body = std::string_view(text).substr(0, text.size() - kSealBytes);
    if (text.substr(body.size()) == seal_of(body)) return std::string(body) + '}';
  }
  throw Error(Errc::corrupt, fmt::format("{} is damaged: its checksum is not that of its content", io::shown(path)),
              hint);
}

}  // namespace reef::backup::internal
