#include "reef/model/layer_order.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

namespace reef::model {
namespace {

/// The parts of a name: PyTorch parts with '.', TensorFlow with '/'.
std::vector<std::string_view> components(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = name.find_first_of("./");
    parts.push_back(name.substr(0, end));
    if (end == std::string_view::npos) return parts;
    name.remove_prefix(end + 1);
  }
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The number that `text` begins with, and what stands behind it.
std::optional<std::uint64_t> leading_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<LayerName> match(std::string_view tensor, std::string_view pattern) {
  const std::size_t place = pattern.find(kLayerPlace);
  if (place == std::string_view::npos || !tensor.starts_with(pattern.substr(0, place))) return std::nullopt;
  std::string_view rest = tensor.substr(place);
  const auto number = leading_number(rest);
  if (!number || !rest.starts_with(pattern.substr(place + kLayerPlace.size()))) return std::nullopt;
  std::string_view stack = tensor.substr(0, place);
  if (!stack.empty() && is_one_of(stack.substr(stack.size() - 1), {".", "/", "_"})) stack.remove_suffix(1);
  return LayerName{std::string(stack), *number};
}

enum class Part { embeddings, layers, rest };

/// Encoders run before what uses what they found, decoders after it.
int stack_rank(std::string_view prefix) {
  const auto parts = components(prefix);
  const auto has = [&](std::initializer_list<std::string_view> words) {
    return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) { return is_one_of(part, words); });
  };
  if (has({"encoder", "enc"})) return 0;
  return has({"decoder", "dec"}) ? 2 : 1;
}

}  // namespace

std::optional<LayerName> layer_of(std::string_view tensor, std::span<const std::string> patterns) {
  for (const std::string& pattern : patterns) {
    if (auto layer = match(tensor, pattern)) return layer;
  }
  if (!patterns.empty()) return std::nullopt;
  std::size_t begin = 0;
  while (begin < tensor.size()) {
    const std::size_t dot = tensor.find('.', begin);
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view word = tensor.substr(begin, dot - begin);
    if (is_one_of(word, {"layers", "layer", "blk", "h", "block", "blocks"})) {
      std::string_view next = tensor.substr(dot + 1, tensor.find('.', dot + 1) - dot - 1);
      const auto number = leading_number(next);
      if (number && next.empty()) return LayerName{std::string(tensor.substr(0, dot)), *number};
    }
    begin = dot + 1;
  }
  return std::nullopt;
}

bool is_embedding_name(std::string_view tensor) {
  const auto parts = components(tensor);
  return std::any_of(parts.begin(), parts.end(), [](std::string_view part) {
    if (is_one_of(part, {"wte", "wpe", "shared"})) return true;
    return part.find("emb") != std::string_view::npos && part.find("unembed") == std::string_view::npos &&
           !part.starts_with("embed_out");
  });
}

std::vector<OrderedTensor> layer_order(const std::vector<WeightFile>& files, std::span<const std::string> patterns) {
  std::vector<OrderedTensor> order;
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (std::size_t tensor = 0; tensor < files[file].tensors.size(); ++tensor)
      order.push_back({file, tensor, layer_of(files[file].tensors[tensor].name, patterns)});
  }
  // Stacks are few and tensors many: the prefixes are compared once.
  std::map<std::pair<int, std::string_view>, std::size_t> stacks;
  for (const OrderedTensor& entry : order) {
    if (entry.layer) stacks[{stack_rank(entry.layer->prefix), entry.layer->prefix}] = 0;
  }
  std::map<std::string_view, std::size_t> place_of_stack;
  for (const auto& [stack, unused] : stacks) place_of_stack.emplace(stack.second, place_of_stack.size());

  struct Key {
    Part part;
    std::size_t stack;
    std::uint64_t number;
    std::size_t at;  ///< in `order`: files one after the other, and their bytes
    auto operator<=>(const Key&) const = default;
  };
  std::vector<Key> keys;
  keys.reserve(order.size());
  for (std::size_t at = 0; at < order.size(); ++at) {
    const OrderedTensor& entry = order[at];
    if (entry.layer) {
      keys.push_back({Part::layers, place_of_stack.at(entry.layer->prefix), entry.layer->number, at});
    } else {
      const bool first = is_embedding_name(files[entry.file].tensors[entry.tensor].name);
      keys.push_back({first ? Part::embeddings : Part::rest, 0, 0, at});
    }
  }
  std::sort(keys.begin(), keys.end());
  std::vector<OrderedTensor> sorted;
  sorted.reserve(order.size());
  for (const Key& key : keys) sorted.push_back(order[key.at]);  // copied: place_of_stack looks into `order`
  return sorted;
}

}  // namespace reef::model
