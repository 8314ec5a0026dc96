#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "reef/core/error.h"
#include "reef/model/gguf.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

using internal::legible;

constexpr std::string_view kExtension = ".gguf";
constexpr std::string_view kOf = "-of-";
constexpr std::size_t kDigits = 5;
// Loaders read the count into 16 bits.
constexpr std::uint64_t kMaxParts = 65535;

[[noreturn]] void fail(const std::string& file, const std::string& rule) {
  throw Error(Errc::corrupt, fmt::format("{}: {}", file, rule),
              "the files are not the parts of one model; get all of them again from one revision");
}

std::uint64_t require_number(const GgufHeader& header, std::string_view key, const std::string& file) {
  const GgufValue* value = header.value(key);
  if (value == nullptr) fail(file, fmt::format("a part of a split model without {}", key));
  const auto number = value->as_unsigned();
  if (!number) {
    const std::string text = value->type == GgufValueType::kString ? "a string" : value->to_text();
    fail(file, fmt::format("{} is {}, not a count", key, text));
  }
  return *number;
}

/// Takes a number off the end of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::size_t begin = text.size();
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  const std::string_view digits = text.substr(begin);
  // One way to write each number: five digits, more only when it needs them.
  if (digits.size() < kDigits || (digits.size() > kDigits && digits.front() == '0')) return std::nullopt;
  std::uint64_t number = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{}) return std::nullopt;
  text = text.substr(0, begin);
  return number;
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

struct File {
  const std::string* name;
  const GgufHeader* header;
  GgufPart part;
};

void check_place(const File& file, const File& first, const GgufPartName& first_name) {
  if (file.part.count != first.part.count || file.part.tensors != first.part.tensors) {
    fail(*file.name,
         fmt::format("says that the model has {} parts with {} tensors, {} says {} with {}", file.part.count,
                     file.part.tensors, *first.name, first.part.count, first.part.tensors));
  }
  const GgufPartName right{first_name.stem, file.part.index + 1, file.part.count};
  if (*file.name != right.to_string()) {
    fail(*file.name, fmt::format("is part {} of {} by its header, and would be called {}", right.number, right.count,
                                 right.to_string()));
  }
}

void check_tensors(const std::vector<File>& files) {
  std::vector<std::pair<std::string_view, const std::string*>> names;
  for (const File& file : files) {
    for (const GgufTensor& tensor : file.header->tensors) names.emplace_back(tensor.name, file.name);
  }
  std::sort(names.begin(), names.end(),
            [](const auto& a, const auto& b) { return std::tie(a.first, *a.second) < std::tie(b.first, *b.second); });
  const auto twice =
      std::adjacent_find(names.begin(), names.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != names.end()) {
    fail(*twice->second, fmt::format("tensor '{}' is in {} too", legible(twice->first), *std::next(twice)->second));
  }
  const GgufPart& part = files.front().part;
  if (names.size() != part.tensors) {
    fail(*files.front().name,
         fmt::format("the {} parts hold {} tensors, they say {}", part.count, names.size(), part.tensors));
  }
}

}  // namespace

std::optional<GgufPart> gguf_part(const GgufHeader& header, const std::string& file) {
  // gguf-split leaves a count of 0 in what it merges.
  if (header.value("split.count") == nullptr) return std::nullopt;
  GgufPart part;
  part.count = require_number(header, "split.count", file);
  if (part.count <= 1) return std::nullopt;
  if (part.count > kMaxParts) fail(file, fmt::format("split.count is {}, the limit is {}", part.count, kMaxParts));
  part.index = require_number(header, "split.no", file);
  if (part.index >= part.count) {
    fail(file, fmt::format("split.no is {}, counted from 0, but split.count is {}", part.index, part.count));
  }
  part.tensors = require_number(header, "split.tensors.count", file);
  return part;
}

std::optional<GgufPartName> GgufPartName::parse(std::string_view file_name) {
  GgufPartName name;
  if (!take_suffix(file_name, kExtension)) return std::nullopt;
  const auto count = take_number(file_name);
  if (!count || !take_suffix(file_name, kOf)) return std::nullopt;
  const auto number = take_number(file_name);
  if (!number || !take_suffix(file_name, "-") || *number == 0 || *number > *count) return std::nullopt;
  name.stem = file_name;
  name.number = *number;
  name.count = *count;
  return name;
}

std::string GgufPartName::to_string() const {
  return fmt::format("{}-{:0{}}{}{:0{}}{}", stem, number, kDigits, kOf, count, kDigits, kExtension);
}

void check_gguf_parts(std::span<const std::pair<std::string, GgufHeader>> files) {
  std::vector<File> parts;
  for (const auto& [name, header] : files) {
    const auto part = gguf_part(header, name);
    if (!part && files.size() == 1) return;
    if (!part) fail(name, "is a whole model among the parts of a split one");
    parts.push_back({&name, &header, *part});
  }
  std::sort(parts.begin(), parts.end(), [](const File& a, const File& b) {
    return std::tie(a.part.index, *a.name) < std::tie(b.part.index, *b.name);
  });
  const File& first = parts.front();
  const auto name = GgufPartName::parse(*first.name);
  if (!name) {
    fail(*first.name, fmt::format("is part {} of {}, but is not called like '{}'", first.part.index + 1,
                                  first.part.count, GgufPartName{"NAME", 1, first.part.count}.to_string()));
  }
  for (const File& part : parts) check_place(part, first, *name);
  const auto twice = std::adjacent_find(parts.begin(), parts.end(),
                                        [](const File& a, const File& b) { return a.part.index == b.part.index; });
  if (twice != parts.end()) fail(*twice->name, "is given twice");
  for (std::size_t i = 0; i < first.part.count; ++i) {
    if (i == parts.size() || parts[i].part.index != i) {
      fail(*first.name, fmt::format("{} is missing, part {} of {}",
                                    GgufPartName{name->stem, i + 1, name->count}.to_string(), i + 1, first.part.count));
    }
  }
  check_tensors(parts);
}

}  // namespace reef::model
