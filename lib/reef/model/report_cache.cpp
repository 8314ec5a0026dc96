#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/cache.h"
#include "reef/model/load.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

double gigabytes_per_second(const LoadResult& result) {
  return result.seconds > 0 ? static_cast<double>(result.bytes_read()) / result.seconds / 1e9 : 0;
}

}  // namespace

std::string to_json(const LoadResult& result) {
  Json files = Json::array();
  for (const LoadedFile& file : result.files) {
    files.push_back(
        {{"path", file.path}, {"place", file.place.string()}, {"bytes", file.bytes}, {"was_there", file.was_there}});
  }
  return dump({{"schema", "reef.model.load/1"},
               {"name", result.name},
               {"strategy", strategy_name(result.strategy)},
               {"reason", result.reason},
               {"folder", result.folder.string()},
               {"bytes", result.bytes()},
               {"bytes_read", result.bytes_read()},
               {"elapsed_seconds", result.seconds},
               {"files", std::move(files)}});
}

std::string to_text(const LoadResult& result) {
  if (result.strategy != LoadStrategy::mmap && result.bytes_read() == 0)
    return fmt::format("already so; {} is in {}\n", result.name, io::shown(result.folder));
  return fmt::format("loaded {}: {} at {:.2f} GB/s ({}: {}); it is in {}\n", result.name,
                     format_size(result.bytes_read()), gigabytes_per_second(result), strategy_name(result.strategy),
                     result.reason, io::shown(result.folder));
}

std::string to_json(const CacheStatus& status) {
  Json files = Json::array();
  for (const CachedModelFile& file : status.files) {
    Json json{{"sha256", file.digest},
              {"bytes", file.bytes},
              {"models", file.models},
              {"tier", file.tier},
              {"pinned", file.is_pinned},
              {"in_use", file.is_in_use},
              {"last_used", to_rfc3339(file.used)}};
    if (status.asked_why) json["holders"] = file.holders;
    files.push_back(std::move(json));
  }
  Json folders = Json::array();
  for (const CacheFolder& folder : status.folders)
    folders.push_back({{"name", folder.name}, {"bytes", folder.bytes}, {"cap_bytes", folder.cap_bytes}});
  return dump({{"schema", "reef.model.cache.status/1"},
               {"path", status.folder.string()},
               {"in_memory", status.is_in_memory},
               {"files", std::move(files)},
               {"folders", std::move(folders)}});
}

std::string to_text(const CacheStatus& status) {
  std::string text;
  Table files({{"MODEL"}, {"SIZE", Align::right}, {"TIER"}, {"LAST USED"}, {status.asked_why ? "HELD BY" : ""}});
  for (const CachedModelFile& file : status.files) {
    const std::string name =
        file.models.empty() ? file.digest.substr(0, 12) : fmt::format("{}", fmt::join(file.models, ", "));
    const char* why = file.is_pinned ? " pinned" : file.is_in_use ? " in use" : "";
    files.add({name, format_size(file.bytes), file.tier + why, to_rfc3339(file.used).substr(0, 19),
               fmt::format("{}", fmt::join(file.holders, ", "))});
  }
  if (!status.files.empty()) text += files.to_text() + "\n";
  Table folders({{"FOLDER"}, {"SIZE", Align::right}, {"CAP", Align::right}});
  for (const CacheFolder& folder : status.folders)
    folders.add(
        {folder.name, format_size(folder.bytes), folder.cap_bytes == 0 ? "none" : format_size(folder.cap_bytes)});
  text += folders.to_text();
  if (!status.is_in_memory)
    text +=
        fmt::format("{} is a plain folder: mount a tmpfs there, and models stay in memory\n", io::shown(status.folder));
  return text;
}

std::string to_json(const CacheChange& change) {
  return dump({{"schema", "reef.model.cache." + change.action + "/1"},
               {"name", change.name},
               {"changed", change.has_changed},
               {"freed_bytes", change.freed_bytes}});
}

std::string to_text(const CacheChange& change) {
  if (!change.has_changed) return fmt::format("already so; nothing to {} in {}\n", change.action, change.name);
  if (change.action == "pin" || change.action == "unpin") return fmt::format("{}ned {}\n", change.action, change.name);
  return fmt::format("{}{} {}: {} freed\n", change.action, change.action == "trim" ? "med" : "ed", change.name,
                     format_size(change.freed_bytes));
}

}  // namespace reef::model
