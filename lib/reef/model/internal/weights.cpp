#include "reef/model/internal/weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 256 << 20;

void check_index(const std::filesystem::path& path,
                 const std::vector<std::pair<std::string, SafetensorsHeader>>& headers) {
  const ShardIndex index = parse_shard_index(io::read_file(path, kMaxIndexBytes), path.string());
  std::vector<std::pair<std::string, SafetensorsHeader>> shards;
  for (const std::string& file : index.files()) {
    const auto header = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.first == file; });
    if (header == headers.end()) {
      throw Error(Errc::corrupt, fmt::format("{}: the shard {} is missing", path.string(), legible(file)),
                  "the model is incomplete; get all its shards from one revision");
    }
    shards.push_back(*header);
  }
  check_shard_index(index, shards, path.string());
}

}  // namespace

bool is_safetensors(std::string_view path) { return path.ends_with(".safetensors"); }

std::vector<std::pair<std::string, SafetensorsHeader>> read_weights(const std::filesystem::path& folder,
                                                                    const std::vector<std::string>& paths) {
  std::vector<std::pair<std::string, SafetensorsHeader>> headers;
  for (const std::string& path : paths) {
    if (!is_safetensors(path)) continue;
    check_interrupt();
    headers.emplace_back(path, SafetensorsFile(folder / path).header());
  }
  if (std::find(paths.begin(), paths.end(), kShardIndexFile) != paths.end()) {
    check_index(folder / kShardIndexFile, headers);
  }
  return headers;
}

}  // namespace reef::model::internal
