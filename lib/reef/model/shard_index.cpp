#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "reef/core/error.h"
#include "reef/model/internal/duplicate_name.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/safetensors.h"

namespace reef::model {
namespace {

using internal::duplicate_name;
using internal::JsonScanner;
using internal::legible;
using internal::PositionedName;

/// A shard lies beside its index: a name with a slash could point anywhere.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

/// Some writers store the size as a float ("5027783488.0"): right as long as it is whole.
std::uint64_t read_total_size(JsonScanner& scanner) {
  const std::string_view text = scanner.number("a number of bytes");
  const std::size_t at = scanner.position() - text.size();
  std::uint64_t whole = 0;
  const char* end = text.data() + text.size();
  if (const auto read = std::from_chars(text.data(), end, whole); read.ptr == end) {
    if (read.ec != std::errc{}) scanner.fail(at, "total_size does not fit in 64 bits");
    return whole;
  }
  double value = -1;  // stays where the number is beyond a double: 1e400
  std::from_chars(text.data(), end, value);
  constexpr double kExact = 9007199254740992.0;  // 2^53: up to here a double counts every byte
  if (!(value >= 0 && value <= kExact) || value != std::floor(value)) {
    scanner.fail(at, "total_size is not a whole number of bytes");
  }
  return static_cast<std::uint64_t>(value);
}

[[noreturn]] void fail(const std::string& file, const std::string& rule) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", file, rule),
              "the index and the shards are not of one model; get all of them again from one revision");
}

}  // namespace

std::vector<std::string> ShardIndex::files() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.push_back(entry.file);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

ShardIndex parse_shard_index(std::string_view json, const std::string& file) {
  JsonScanner scanner(json, file, 0);
  ShardIndex index;
  bool has_map = false;
  bool has_metadata = false;
  std::vector<std::size_t> positions;
  scanner.object("'{'", [&](const std::string& key, std::size_t at) {
    if (key == "metadata" && std::exchange(has_metadata, true)) scanner.fail(at, "metadata occurs twice");
    if (key == "weight_map") {
      if (std::exchange(has_map, true)) scanner.fail(at, "weight_map occurs twice");
      scanner.object("an object of file names", [&](std::string tensor, std::size_t tensor_at) {
        scanner.set_subject("tensor", tensor);
        std::string shard = scanner.string("a file name");
        if (!is_plain_file_name(shard)) {
          scanner.fail(tensor_at, fmt::format("'{}' is no plain file name", legible(shard)));
        }
        index.entries.push_back({std::move(tensor), std::move(shard)});
        positions.push_back(tensor_at);
        scanner.set_subject("", {});
      });
    } else if (key == "metadata" && scanner.peek() == '{') {
      scanner.object("an object", [&](const std::string& field, std::size_t field_at) {
        if (field != "total_size") return scanner.skip_value();
        if (index.total_size) scanner.fail(field_at, "total_size occurs twice");
        index.total_size = read_total_size(scanner);
      });
    } else {
      scanner.skip_value();
    }
  });
  scanner.expect_end();
  if (!has_map) scanner.fail(0, "weight_map is missing");
  std::vector<PositionedName> names;
  for (std::size_t i = 0; i < positions.size(); ++i) names.push_back({index.entries[i].tensor, positions[i]});
  if (const auto twice = duplicate_name(names)) {
    scanner.fail(twice->position, fmt::format("tensor '{}' occurs twice", legible(twice->name)));
  }
  std::sort(index.entries.begin(), index.entries.end(),
            [](const ShardIndex::Entry& a, const ShardIndex::Entry& b) { return a.tensor < b.tensor; });
  return index;
}

void check_shard_index(const ShardIndex& index, std::span<const std::pair<std::string, SafetensorsHeader>> shards,
                       const std::string& file) {
  std::uint64_t total = 0;
  std::size_t count = 0;
  for (const auto& [shard, header] : shards) {
    count += header.tensors.size();
    for (const Tensor& tensor : header.tensors) {
      total += tensor.bytes();
      const auto entry =
          std::lower_bound(index.entries.begin(), index.entries.end(), tensor.name,
                           [](const ShardIndex::Entry& e, const std::string& wanted) { return e.tensor < wanted; });
      if (entry == index.entries.end() || entry->tensor != tensor.name) {
        fail(file, fmt::format("tensor '{}' of {} is not listed", legible(tensor.name), legible(shard)));
      }
      if (entry->file != shard) {
        fail(file, fmt::format("tensor '{}' is in {}, listed in {}", legible(tensor.name), legible(shard),
                               legible(entry->file)));
      }
    }
  }
  if (count != index.entries.size()) {
    // Every tensor of every shard is listed, so something listed is in no shard.
    for (const ShardIndex::Entry& entry : index.entries) {
      const auto shard = std::lower_bound(shards.begin(), shards.end(), entry.file,
                                          [](const auto& s, const std::string& wanted) { return s.first < wanted; });
      const bool present = shard != shards.end() && shard->first == entry.file && shard->second.find(entry.tensor);
      if (!present)
        fail(file, fmt::format("tensor '{}' is missing from {}", legible(entry.tensor), legible(entry.file)));
    }
  }
  if (index.total_size && *index.total_size != total) {
    fail(file, fmt::format("total_size is {}, the shards hold {} bytes", *index.total_size, total));
  }
}

}  // namespace reef::model
