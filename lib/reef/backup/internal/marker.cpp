#include "reef/backup/internal/marker.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>

#include "reef/backup/destination.h"
#include "reef/backup/internal/sealed.h"
#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/core/text.h"
#include "reef/core/time.h"

namespace reef::backup::internal {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "reef backup destination";
constexpr int kVersion = 1;
constexpr const char* kDamagedHint =
    "look at the drive first; if the folder is the right one, pass --adopt, which writes the marker anew";

}  // namespace

std::optional<Marker> read_marker(const std::filesystem::path& folder) {
  const auto path = folder / kDestinationMarker;
  std::string text;
  try {
    text = io::read_file(path, kMostSealedBytes);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
  const Json json = Json::parse(unseal(text, path, kDamagedHint), nullptr, false);
  try {
    if (json.at("format") != kFormat)
      throw Error(Errc::corrupt, fmt::format("{} is no marker of a backup's destination", io::shown(path)),
                  kDamagedHint);
    if (json.at("version").get<int>() > kVersion)
      throw Error(Errc::usage, fmt::format("{} was made by a newer reef", io::shown(path)), "upgrade this one");
    Marker marker{json.at("tier").get<int>(), json.at("id"), json.at("host"), json.at("tree")};
    if (marker.id.size() != 16 || !from_hex(marker.id))
      throw Error(Errc::corrupt, fmt::format("{}: the id is not 16 hexadecimal digits", io::shown(path)), kDamagedHint);
    return marker;
  } catch (const nlohmann::json::exception&) {
    throw Error(Errc::corrupt, fmt::format("{} lacks what a marker has", io::shown(path)), kDamagedHint);
  }
}

void write_marker(const std::filesystem::path& folder, const Marker& marker) {
  const Json json{{"format", kFormat},   {"version", kVersion}, {"tier", marker.tier},      {"id", marker.id},
                  {"host", marker.host}, {"tree", marker.tree}, {"made", to_rfc3339(now())}};
  io::replace_file(folder / kDestinationMarker, seal(dump(json)));
}

std::string new_id() {
  std::array<std::uint8_t, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw_errno("read", "the system's random numbers");
  return to_hex(bytes);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) throw_errno("ask for", "the name of this machine");
  return to_valid_utf8(name.data());
}

}  // namespace reef::backup::internal
