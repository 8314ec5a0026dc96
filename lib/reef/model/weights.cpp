#include "reef/model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/gguf.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/safetensors.h"

namespace reef::model {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 256 << 20;

using NamedHeader = std::pair<std::string, SafetensorsHeader>;
using NamedGguf = std::pair<std::string, GgufHeader>;

bool is_safetensors(std::string_view path) { return path.ends_with(".safetensors"); }
bool is_gguf_name(std::string_view path) { return path.ends_with(".gguf"); }

void check_index(const std::filesystem::path& path, const std::vector<NamedHeader>& headers) {
  const ShardIndex index = parse_shard_index(io::read_file(path, kMaxIndexBytes), path.string());
  std::vector<NamedHeader> shards;
  for (const std::string& file : index.files()) {
    const auto header = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.first == file; });
    if (header == headers.end()) {
      throw Error(Errc::corrupt, fmt::format("{}: the shard {} is missing", path.string(), internal::legible(file)),
                  "the model is incomplete; get all its shards from one revision");
    }
    shards.push_back(*header);
  }
  check_shard_index(index, shards, path.string());
}

WeightFile to_weights(const std::string& path, const SafetensorsHeader& header) {
  WeightFile file{path, header.data_offset, {}, header.metadata};
  file.tensors.reserve(header.tensors.size());
  for (const Tensor& tensor : header.tensors) {
    file.tensors.push_back({tensor.name, std::string(dtype_name(tensor.dtype)), tensor.shape, tensor.begin, tensor.end,
                            tensor.elements(), header.is_aligned(tensor)});
  }
  return file;
}

WeightFile to_weights(const std::string& path, const GgufHeader& header) {
  WeightFile file{path, header.data_offset, {}, {}};
  for (const auto& [key, value] : header.metadata) file.metadata.emplace_back(key, value.to_text());
  std::sort(file.metadata.begin(), file.metadata.end());
  file.tensors.reserve(header.tensors.size());
  for (const GgufTensor& tensor : header.tensors) {
    file.tensors.push_back({tensor.name, std::string(ggml_type_name(tensor.type)), tensor.shape, tensor.begin,
                            tensor.end, tensor.elements(), true});
  }
  return file;
}

/// The files of one model are all there and agree; projectors are models of their own.
void check_parts(const std::vector<NamedGguf>& files) {
  std::map<std::string, std::vector<NamedGguf>> models;
  for (const NamedGguf& file : files) {
    const auto part = GgufPartName::parse(file.first);
    models[part ? part->stem : file.first].push_back(file);
  }
  for (const auto& [stem, parts] : models) check_gguf_parts(parts);
}

}  // namespace

const WeightTensor* WeightFile::find(std::string_view name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const WeightTensor& t) { return t.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

std::vector<const WeightTensor*> WeightFile::overlapping(std::uint64_t begin, std::uint64_t end) const {
  // They follow one another, so their ends are sorted as well.
  auto it = std::partition_point(tensors.begin(), tensors.end(),
                                 [&](const WeightTensor& t) { return data_offset + t.end <= begin; });
  std::vector<const WeightTensor*> found;
  for (; it != tensors.end() && data_offset + it->begin < end; ++it) {
    if (it->bytes() > 0) found.push_back(&*it);
  }
  return found;
}

bool is_weight_file(std::string_view path) { return is_safetensors(path) || is_gguf_name(path); }

WeightFile read_weight_file(const std::filesystem::path& folder, const std::string& path) {
  if (is_gguf_name(path)) return to_weights(path, GgufFile(folder / path).header());
  return to_weights(path, SafetensorsFile(folder / path).header());
}

std::vector<WeightFile> read_weights(const std::filesystem::path& folder, const std::vector<std::string>& paths) {
  std::vector<NamedHeader> shards;
  std::vector<NamedGguf> parts;
  std::vector<WeightFile> files;
  for (const std::string& path : paths) {
    if (!is_weight_file(path)) continue;
    check_interrupt();
    if (is_gguf_name(path)) {
      parts.emplace_back(path, GgufFile(folder / path).header());
      files.push_back(to_weights(path, parts.back().second));
    } else {
      shards.emplace_back(path, SafetensorsFile(folder / path).header());
      files.push_back(to_weights(path, shards.back().second));
    }
  }
  if (std::find(paths.begin(), paths.end(), kShardIndexFile) != paths.end())
    check_index(folder / kShardIndexFile, shards);
  check_parts(parts);
  return files;
}

}  // namespace reef::model
