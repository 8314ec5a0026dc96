#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/cache.h"
#include "reef/model/cache_trim.h"
#include "reef/model/load.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

double gigabytes_per_second(const LoadResult& result) {
  return result.seconds > 0 ? static_cast<double>(result.bytes_read()) / result.seconds / 1e9 : 0;
}

Json json_of(const std::vector<CacheItem>& items) {
  Json json = Json::array();
  for (const CacheItem& item : items) {
    Json& entry = json.emplace_back(Json{{"cache", item.cache}, {"name", item.name}, {"bytes", item.bytes}});
    if (!item.why.empty()) entry["why"] = item.why;
  }
  return json;
}

Json json_of(const std::vector<CacheFolder>& folders) {
  Json json = Json::array();
  for (const CacheFolder& folder : folders)
    json.push_back({{"name", folder.name}, {"bytes", folder.bytes}, {"cap_bytes", folder.cap_bytes}});
  return json;
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
              {"in_use", file.is_use_known ? Json(file.is_in_use) : Json()},
              {"last_used", to_rfc3339(file.used)}};
    if (status.asked_why) json["holders"] = file.holders;
    files.push_back(std::move(json));
  }
  return dump({{"schema", "reef.model.cache.status/1"},
               {"path", status.folder.string()},
               {"in_memory", status.is_in_memory},
               {"files", std::move(files)},
               {"folders", json_of(status.folders)},
               {"notes", status.notes}});
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
    text += fmt::format(
        "{} is a plain folder: with 'sudo reef-init --mount-cache' it is a tmpfs, and models stay in memory\n",
        io::shown(status.folder));
  for (const std::string& note : status.notes) text += note + "\n";
  return text;
}

std::string to_json(const CacheChange& change) {
  Json json{{"schema", "reef.model.cache." + change.action + "/1"},
            {"name", change.name},
            {"changed", change.has_changed && !change.is_dry_run},
            {"freed_bytes", change.freed_bytes}};
  if (change.action == "evict") {
    json["applied"] = !change.is_dry_run;
    json["kept"] = json_of(change.kept);
  }
  return dump(json);
}

std::string to_text(const CacheChange& change) {
  std::string text;
  for (const CacheItem& item : change.kept) text += fmt::format("{} stays: {}\n", item.name, item.why);
  if (!change.has_changed) return text + fmt::format("already so; nothing to {} in {}\n", change.action, change.name);
  if (change.action != "evict") return text + fmt::format("{}ned {}\n", change.action, change.name);
  return text + fmt::format("{} {}: {} {}\n", change.is_dry_run ? "would evict" : "evicted", change.name,
                            format_size(change.freed_bytes), change.is_dry_run ? "to be freed (dry run)" : "freed");
}

std::string to_json(const CacheTrim& trim) {
  return dump({{"schema", "reef.model.cache.trim/1"},
               {"changed", !trim.is_dry_run && !trim.removed.empty()},
               {"applied", !trim.is_dry_run},
               {"freed_bytes", trim.freed_bytes()},
               {"removed", json_of(trim.removed)},
               {"kept", json_of(trim.kept)},
               {"folders", json_of(trim.folders)}});
}

std::string to_text(const CacheTrim& trim) {
  Table items({{""}, {""}, {"", Align::right}, {""}});
  for (const CacheItem& item : trim.removed)
    items.add({item.cache, item.name, format_size(item.bytes),
               (trim.is_dry_run ? "would go" : "gone") + (item.why.empty() ? "" : ": " + item.why)});
  for (const CacheItem& item : trim.kept)
    items.add({item.cache, item.name, format_size(item.bytes), "stays: it " + item.why});
  std::string text = items.empty() ? "" : items.to_text();
  for (const CacheFolder& folder : trim.folders)
    if (const std::uint64_t over = trim.over_bytes(folder); over > 0)
      text +=
          fmt::format("{} is {} above its cap of {}\n", folder.name, format_size(over), format_size(folder.cap_bytes));
  if (trim.removed.empty())
    return text + (trim.is_done() ? "already so; all are below their caps\n" : "nothing may go\n");
  return text + fmt::format("{} {}\n", format_size(trim.freed_bytes()),
                            trim.is_dry_run ? "would be freed (dry run)" : "freed");
}

}  // namespace reef::model
