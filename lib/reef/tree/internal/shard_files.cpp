#include "reef/tree/internal/shard_files.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"

namespace reef::tree::internal {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::uint64_t kLargest = 4 << 20;

/// Runs `read` on the file's JSON; false when there is no file. Whatever it misses is one error that names the file.
template <typename Read>
bool read_json(const fs::path& file, const char* hint, Read read) {
  std::string text;
  try {
    text = io::read_file(file, kLargest);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return false;
  }
  try {
    read(Json::parse(text));
  } catch (const Json::exception& error) {
    throw Error(Errc::corrupt, fmt::format("{}: {}", io::shown(file), error.what()), hint);
  }
  return true;
}

std::string id_of(const Json& json, const char* key, const fs::path& file, const char* hint) {
  auto id = json.at(key).get<std::string>();
  if (is_shard_id(id)) return id;
  throw Error(Errc::corrupt, fmt::format("{}: '{}' is no id", io::shown(file), key), hint);
}

}  // namespace

bool is_shard_id(std::string_view text) {
  constexpr std::size_t kDigits = 16;
  return text.size() == kDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string random_id() {
  std::array<std::uint8_t, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw_errno("read", "the system's random numbers");
  return to_hex(bytes);
}

std::optional<ShardFile> read_shard_file(const fs::path& shard) {
  const fs::path file = shard / "shard.json";
  ShardFile result;
  const char* const hint = "restore the file from a backup; vectors/shards.json of the tree names the shard's id";
  const bool there = read_json(file, hint, [&](const Json& json) {
    result.id = id_of(json, "id", file, hint);
    result.tree = id_of(json, "tree", file, hint);
  });
  return there ? std::optional(result) : std::nullopt;
}

std::string shard_file_text(const ShardFile& file, const std::string& created) {
  return Json{{"schema", "reef.shard/1"}, {"id", file.id}, {"tree", file.tree}, {"created", created}}.dump(2) + "\n";
}

ShardList read_shard_list(const fs::path& file) {
  ShardList list;
  const char* const hint = "restore the file from a backup; shard.json of each shard holds both ids";
  read_json(file, hint, [&](const Json& json) {
    list.tree = id_of(json, "tree", file, hint);
    for (const Json& entry : json.at("shards"))
      list.shards.emplace_back(id_of(entry, "id", file, hint), entry.at("path").get<std::string>());
  });
  return list;
}

PartList read_part_list(const fs::path& file) {
  PartList list;
  const char* const hint = "remove the file when each shard has its link in the folder 'parts' beside it";
  read_json(file, hint, [&](const Json& json) {
    list.split = id_of(json, "split", file, hint);
    for (const Json& entry : json.at("parts")) {
      auto folder = entry.at("folder").get<std::string>();
      if (folder.empty() || folder.find('/') != std::string::npos)
        throw Error(Errc::corrupt, fmt::format("{}: 'folder' is no name", io::shown(file)), hint);
      list.folders.emplace_back(id_of(entry, "shard", file, hint), std::move(folder));
    }
  });
  return list;
}

std::string part_list_text(const PartList& list) {
  Json parts = Json::array();
  for (const auto& [shard, folder] : list.folders) parts.push_back({{"shard", shard}, {"folder", folder}});
  return Json{{"schema", "reef.vectors.parts/1"}, {"split", list.split}, {"parts", parts}}.dump(2) + "\n";
}

std::string shard_list_text(const ShardList& list) {
  Json shards = Json::array();
  for (const auto& [id, path] : list.shards) shards.push_back({{"id", id}, {"path", path.string()}});
  const Json json{{"schema", "reef.vectors.shards/1"}, {"tree", list.tree}, {"shards", shards}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace reef::tree::internal
