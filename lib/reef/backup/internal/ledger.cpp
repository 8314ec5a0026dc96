#include "reef/backup/ledger.h"

#include <fmt/format.h>

#include "reef/backup/internal/sealed.h"
#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::backup {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr const char* kFormat = "reef backup ledger";
constexpr int kVersion = 1;
constexpr milliseconds kLongestWait{10'000};
constexpr const char* kDamagedHint =
    "remove the file, and pass --adopt to the next backup, once you have seen that its destination is the right one";

fs::path file_of(const tree::Tree& tree, int tier) { return tree.backups() / fmt::format("tier{}.json", tier); }

[[noreturn]] void throw_damaged(const fs::path& path, const std::string& what) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", io::shown(path), what), kDamagedHint);
}

Json read_object(const fs::path& path) {
  std::string text;
  try {
    text = io::read_file(path, internal::kMostSealedBytes);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return Json::object();
    throw;
  }
  Json json = Json::parse(internal::unseal(text, path, kDamagedHint), nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != kFormat) throw_damaged(path, "this is no ledger of backups");
  if (!json.value("version", Json()).is_number_integer()) throw_damaged(path, "the version is no number");
  if (json["version"].get<int>() > kVersion)
    throw Error(Errc::usage, fmt::format("{} was written by a newer reef", io::shown(path)), "upgrade this one");
  return json;
}

milliseconds seconds_of(const Json& json) {
  const double value = json.at("seconds").get<double>();
  return milliseconds(static_cast<std::int64_t>(value * 1000 + .5));
}
double to_seconds(milliseconds duration) { return static_cast<double>(duration.count()) / 1000; }

Time time_of(const Json& json, const char* member) { return parse_time(json.at(member).get<std::string>()); }

Ledger from_json(const Json& json) {
  Ledger ledger;
  ledger.destination = json.value("destination", "");
  ledger.id = json.value("id", "");
  if (const auto newest = json.find("newest"); newest != json.end())
    ledger.newest = {newest->at("snapshot"), time_of(*newest, "taken"), seconds_of(*newest), newest->at("bytes")};
  if (const auto verify = json.find("verify"); verify != json.end())
    ledger.verify = {time_of(*verify, "when"), verify->at("snapshots"), verify->at("faults")};
  if (const auto drill = json.find("drill"); drill != json.end())
    ledger.drill = {time_of(*drill, "when"), drill->at("snapshot"), seconds_of(*drill), drill->at("bytes"),
                    drill->at("sound")};
  return ledger;
}

Ledger checked(const Json& json, const fs::path& path) {
  try {
    return from_json(json);
  } catch (const nlohmann::json::exception&) {
    throw_damaged(path, "a member is missing or of another type");
  } catch (const Error& error) {
    throw_damaged(path, error.what());
  }
}

/// Puts what is known over what stands in `json`, whose other members stay.
void to_json(const Ledger& ledger, Json& json) {
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["destination"] = to_valid_utf8(ledger.destination);
  json["id"] = ledger.id;
  if (const auto& newest = ledger.newest)
    json["newest"].update({{"snapshot", newest->snapshot},
                           {"taken", to_rfc3339(newest->taken)},
                           {"seconds", to_seconds(newest->duration)},
                           {"bytes", newest->bytes}});
  else
    json.erase("newest");
  if (const auto& verify = ledger.verify)
    json["verify"].update(
        {{"when", to_rfc3339(verify->when)}, {"snapshots", verify->snapshots}, {"faults", verify->faults}});
  else
    json.erase("verify");
  if (const auto& drill = ledger.drill)
    json["drill"].update({{"when", to_rfc3339(drill->when)},
                          {"snapshot", drill->snapshot},
                          {"seconds", to_seconds(drill->duration)},
                          {"bytes", drill->bytes},
                          {"sound", drill->sound}});
  else
    json.erase("drill");
}

}  // namespace

Ledger read_ledger(const tree::Tree& tree, int tier) {
  const fs::path path = file_of(tree, tier);
  return checked(read_object(path), path);
}

void update_ledger(const tree::Tree& tree, int tier, const std::function<void(Ledger&)>& change) {
  tree::make_folders(tree.backups());
  const io::LockFile lock(tree.backups() / ".lock", kLongestWait);
  const fs::path path = file_of(tree, tier);
  Json json = read_object(path);
  Ledger ledger = checked(json, path);
  change(ledger);
  to_json(ledger, json);
  io::replace_file(path, internal::seal(dump(json)));
}

}  // namespace reef::backup
