#include "reef/model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 256 << 20;

using NamedGguf = std::pair<std::string, GgufHeader>;

bool is_safetensors(std::string_view path) { return path.ends_with(".safetensors"); }
bool is_gguf_name(std::string_view path) { return path.ends_with(".gguf"); }

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

bool is_shard_index(std::string_view path) { return path.ends_with(".safetensors.index.json"); }

WeightFile read_weight_file(const std::filesystem::path& folder, const std::string& path) {
  return WeightHeaders(folder).read(path);
}

WeightFile WeightHeaders::read(const std::string& path) {
  if (is_gguf_name(path)) {
    parts_.emplace_back(path, GgufFile(folder_ / path).header());
    return to_weights(path, parts_.back().second);
  }
  shards_.emplace_back(path, SafetensorsFile(folder_ / path).header());
  return to_weights(path, shards_.back().second);
}

void WeightHeaders::check_index(const std::string& path) const {
  const std::filesystem::path full = folder_ / path;
  const ShardIndex index = parse_shard_index(io::read_file(full, kMaxIndexBytes), full.string());
  std::vector<std::pair<std::string, SafetensorsHeader>> named;
  for (const std::string& file : index.files()) {
    const std::string beside = (std::filesystem::path(path).parent_path() / file).string();
    const auto shard = std::find_if(shards_.begin(), shards_.end(), [&](const auto& s) { return s.first == beside; });
    if (shard == shards_.end()) {
      throw Error(Errc::corrupt, fmt::format("{}: the shard {} is missing", full.string(), internal::legible(file)),
                  "the model is incomplete; get all its shards from one revision");
    }
    named.emplace_back(file, shard->second);
  }
  check_shard_index(index, named, full.string());
}

void WeightHeaders::check_parts() const {
  std::map<std::string, std::vector<NamedGguf>> models;
  for (const NamedGguf& file : parts_) {
    const auto part = GgufPartName::parse(file.first);
    models[part ? part->stem : file.first].push_back(file);
  }
  for (const auto& [stem, parts] : models) check_gguf_parts(parts);
}

std::vector<WeightFile> read_weights(const std::filesystem::path& folder, const std::vector<std::string>& paths) {
  WeightHeaders headers(folder);
  std::vector<WeightFile> files;
  for (const std::string& path : paths) {
    if (!is_weight_file(path)) continue;
    check_interrupt();
    files.push_back(headers.read(path));
  }
  for (const std::string& path : paths)
    if (is_shard_index(path)) headers.check_index(path);
  headers.check_parts();
  return files;
}

}  // namespace reef::model
