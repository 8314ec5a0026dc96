#include "reef/model/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "reef/core/text.h"
#include "reef/model/internal/duplicate_name.h"
#include "reef/model/internal/ggml_types.h"
#include "reef/model/internal/gguf_cursor.h"
#include "reef/model/internal/gguf_value.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

using internal::duplicate_name;
using internal::GgufCursor;
using internal::legible;
using internal::PositionedName;

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kSwappedMagic = "FUGG";  // newer writers of big-endian files
constexpr std::uint64_t kMaxKeyBytes = 65535;
constexpr std::uint64_t kMaxTensorName = 64;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxElements = std::numeric_limits<std::int64_t>::max();
constexpr const char* kAlignmentKey = "general.alignment";
constexpr const char* kBigEndianHint = "get the little-endian file of this model";

// The fewest bytes that each can take: what a count says must fit in the rest of the file.
constexpr std::uint64_t kMinEntry = 8 + 1 + 4 + 1;
constexpr std::uint64_t kMinTensor = 8 + 1 + 4 + 4 + 8;
static_assert(kMaxGgufHeader / kMinTensor < std::numeric_limits<std::uint32_t>::max());  // what by_name can hold

bool starts_with(std::span<const std::uint8_t> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return value + (alignment - value % alignment) % alignment;
}

class HeaderReader {
 public:
  HeaderReader(std::span<const std::uint8_t> prefix, std::uint64_t file_bytes, const std::string& file)
      : cursor_(prefix, file_bytes, kMaxGgufHeader, file), file_bytes_(file_bytes) {}

  GgufHeader read() {
    read_version();
    const std::size_t counts_at = cursor_.position();
    const std::uint64_t tensors = cursor_.u64("the number of tensors");
    const std::uint64_t entries = cursor_.u64("the number of metadata keys");
    cursor_.require_room(counts_at, tensors, kMinTensor, "tensors");
    cursor_.require_room(counts_at + 8, entries, kMinEntry, "metadata keys");
    for (std::uint64_t i = 0; i < entries; ++i) read_entry();
    check_names(
        header_.metadata, [](const auto& entry) -> std::string_view { return entry.first; }, "the key");
    read_alignment();
    positions_.clear();
    for (std::uint64_t i = 0; i < tensors; ++i) read_tensor();
    check_names(
        header_.tensors, [](const auto& tensor) -> std::string_view { return tensor.name; }, "tensor");
    place_data();
    index_by_name();
    return std::move(header_);
  }

 private:
  void read_version() {
    const std::string_view magic = cursor_.take(kMagic.size(), "the magic");
    if (magic == kSwappedMagic) cursor_.fail(0, "a big-endian GGUF file, which reef does not read", kBigEndianHint);
    if (magic != kMagic) cursor_.fail(0, "the file does not begin with 'GGUF'", "this is no GGUF file");
    const std::size_t at = cursor_.position();
    header_.version = cursor_.u32("the version");
    if (header_.version != 0 && (header_.version & 0xFFFF) == 0) {
      cursor_.fail(at, "a big-endian GGUF file, which reef does not read", kBigEndianHint);
    }
    if (header_.version == 1) {
      cursor_.fail(at, "GGUF version 1, whose counts have 32 bits; readers gave it up in 2023",
                   "convert the model again with a present llama.cpp, or get a newer file of it");
    }
    if (header_.version != 2 && header_.version != 3) {
      cursor_.fail(at, fmt::format("GGUF version {}; versions 2 and 3 are known", header_.version));
    }
  }

  void read_entry() {
    const std::size_t at = cursor_.position();
    const std::string_view key = cursor_.string("a key");
    if (key.empty()) cursor_.fail(at, "an empty key");
    if (key.size() > kMaxKeyBytes) {
      cursor_.fail(at, fmt::format("a key of {} bytes, the limit is {}", key.size(), kMaxKeyBytes));
    }
    // The specification wants lower_snake_case too, but architectures have hyphens and capitals in
    // their names, and so in their keys.
    if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; })) {
      cursor_.fail(at, fmt::format("the key '{}' is not made of printable ASCII characters", legible(key)));
    }
    cursor_.set_subject("key", key);
    positions_.push_back(at);
    header_.metadata.emplace_back(key, internal::read_gguf_value(cursor_));
    cursor_.set_subject("", {});
  }

  void read_alignment() {
    for (std::size_t i = 0; i < header_.metadata.size(); ++i) {
      const auto& [key, value] = header_.metadata[i];
      if (key != kAlignmentKey) continue;
      if (value.type != GgufValueType::kUint32) {
        cursor_.fail(positions_[i],
                     fmt::format("{} is of type {}, not uint32", kAlignmentKey, gguf_type_name(value.type)));
      }
      header_.alignment = static_cast<std::uint32_t>(std::get<std::uint64_t>(value.value));
      if (!std::has_single_bit(header_.alignment) || header_.alignment < 8) {
        cursor_.fail(positions_[i],
                     fmt::format("{} is {}, not a power of two from 8", kAlignmentKey, header_.alignment));
      }
    }
  }

  void read_tensor() {
    const std::size_t at = cursor_.position();
    GgufTensor tensor;
    const std::string_view name = cursor_.string("the name of a tensor");
    if (name.empty()) cursor_.fail(at, "a tensor with an empty name");
    if (name.size() > kMaxTensorName) {
      cursor_.fail(at, fmt::format("a tensor's name of {} bytes, the limit is {}", name.size(), kMaxTensorName));
    }
    if (!is_valid_utf8(name)) cursor_.fail(at, "a tensor's name that is not UTF-8");
    // C programs would end the name there, and find two tensors of one name.
    if (name.find('\0') != std::string_view::npos) cursor_.fail(at, "a tensor's name with a NUL byte in it");
    cursor_.set_subject("tensor", name);
    tensor.name = name;
    read_shape(tensor);
    read_tensor_type(tensor);
    tensor.begin = cursor_.u64("an offset");
    tensor.end = size_of(tensor, at);  // place_data() adds the offset when it is known to be right
    header_.tensors.push_back(std::move(tensor));
    positions_.push_back(at);
    cursor_.set_subject("", {});
  }

  void read_shape(GgufTensor& tensor) {
    const std::size_t at = cursor_.position();
    const std::uint32_t dimensions = cursor_.u32("the number of dimensions");
    if (dimensions > kMaxDimensions) {
      cursor_.fail(at, fmt::format("{} dimensions, the limit is {}", dimensions, kMaxDimensions));
    }
    for (std::uint32_t i = 0; i < dimensions; ++i) tensor.shape.push_back(cursor_.u64("a dimension"));
    std::reverse(tensor.shape.begin(), tensor.shape.end());
  }

  void read_tensor_type(GgufTensor& tensor) {
    const std::size_t at = cursor_.position();
    const std::uint32_t number = cursor_.u32("the type of a tensor");
    const auto types = internal::ggml_types();
    if (number >= types.size()) {
      cursor_.fail(at, fmt::format("unknown tensor type {}", number),
                   "the file is damaged, or of a newer ggml than reef knows");
    }
    if (types[number].block_elements == 0) {
      cursor_.fail(at, fmt::format("tensor type {}, which ggml has removed", types[number].name),
                   "quantise the model again, or get a file with another quantisation");
    }
    tensor.type = static_cast<GgmlType>(number);
    const std::uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % types[number].block_elements != 0) {
      cursor_.fail(at, fmt::format("rows of {} elements are no whole blocks of {} ({} elements each)", row,
                                   types[number].name, types[number].block_elements));
    }
  }

  /// In bytes. Zeros are left out of the product first: a shape that is empty by one of its sizes
  /// must not hide others that no program could hold.
  std::uint64_t size_of(const GgufTensor& tensor, std::size_t at) const {
    std::uint64_t elements = 1;
    bool empty = false;
    for (const std::uint64_t size : tensor.shape) {
      if (size == 0) {
        empty = true;
      } else if (__builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements) {
        cursor_.fail(at, "the product of the shape overflows 63 bits");
      }
    }
    const GgmlBlock block = ggml_block(tensor.type);
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(elements / block.elements, std::uint64_t{block.bytes}, &bytes) || bytes > kMaxElements) {
      cursor_.fail(at, "the size of the tensor overflows 63 bits");
    }
    return empty ? 0 : bytes;
  }

  template <class Items, class NameOf>
  void check_names(const Items& items, NameOf name_of, const char* what) const {
    std::vector<PositionedName> names;
    names.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) names.push_back({name_of(items[i]), positions_[i]});
    if (const auto twice = duplicate_name(names)) {
      cursor_.fail(twice->position, fmt::format("{} '{}' occurs twice", what, legible(twice->name)));
    }
  }

  void place_data() {
    header_.data_offset = align_up(cursor_.position(), header_.alignment);
    if (header_.tensors.empty()) {
      header_.data_offset = std::min(header_.data_offset, file_bytes_);  // a vocabulary alone needs no padding
    } else if (header_.data_offset > file_bytes_) {
      cursor_.fail(cursor_.position(), fmt::format("the file ends before its data, which begins at byte {} (cut file?)",
                                                   header_.data_offset));
    }
    const std::uint64_t space = file_bytes_ - header_.data_offset;
    std::uint64_t covered = 0;
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
      GgufTensor& tensor = header_.tensors[i];
      cursor_.set_subject("tensor", tensor.name);
      check_offset(i, covered, space);
      const std::uint64_t bytes = tensor.end;
      if (bytes > space - tensor.begin) {
        cursor_.fail(positions_[i], fmt::format("its {} bytes from offset {} end past the end of the data at {} "
                                                "(cut file?)",
                                                bytes, tensor.begin, space));
      }
      tensor.end = tensor.begin + bytes;
      covered = align_up(tensor.end, header_.alignment);
    }
    header_.data_bytes = std::min(covered, space);  // the last padding may be missing
    header_.trailing_bytes = space - header_.data_bytes;
  }

  void check_offset(std::size_t i, std::uint64_t covered, std::uint64_t space) const {
    const std::uint64_t offset = header_.tensors[i].begin;
    if (offset % header_.alignment != 0) {
      cursor_.fail(positions_[i],
                   fmt::format("its offset {} is not a multiple of the alignment {}", offset, header_.alignment));
    }
    if (offset > space) {
      cursor_.fail(positions_[i],
                   fmt::format("its offset {} lies past the end of the data at {} (cut file?)", offset, space));
    }
    if (offset < covered) {
      cursor_.fail(positions_[i], fmt::format("its offset {} lies before {}, where tensor {} ends", offset, covered,
                                              legible(header_.tensors[i - 1].name)));
    }
    if (offset > covered) {
      cursor_.fail(positions_[i], fmt::format("a hole of {} bytes before its offset {}", offset - covered, offset));
    }
  }

  void index_by_name() {
    const auto& tensors = header_.tensors;
    header_.by_name.resize(tensors.size());
    std::iota(header_.by_name.begin(), header_.by_name.end(), 0U);
    std::sort(header_.by_name.begin(), header_.by_name.end(),
              [&](std::uint32_t a, std::uint32_t b) { return tensors[a].name < tensors[b].name; });
  }

  GgufCursor cursor_;
  std::uint64_t file_bytes_;
  GgufHeader header_;
  std::vector<std::size_t> positions_;  ///< of each key, then of each tensor, in the order of reading
};

}  // namespace

const GgufTensor* GgufHeader::find(std::string_view name) const {
  const auto it = std::lower_bound(by_name.begin(), by_name.end(), name,
                                   [&](std::uint32_t i, std::string_view wanted) { return tensors[i].name < wanted; });
  return it != by_name.end() && tensors[*it].name == name ? &tensors[*it] : nullptr;
}

const GgufValue* GgufHeader::value(std::string_view key) const {
  const auto it = std::find_if(metadata.begin(), metadata.end(), [&](const auto& entry) { return entry.first == key; });
  return it != metadata.end() ? &it->second : nullptr;
}

bool is_gguf(std::span<const std::uint8_t> prefix) {
  return starts_with(prefix, kMagic) || starts_with(prefix, kSwappedMagic);
}

GgufHeader parse_gguf(std::span<const std::uint8_t> prefix, std::uint64_t file_bytes, const std::string& file) {
  if (prefix.size() > file_bytes) prefix = prefix.first(file_bytes);
  if (prefix.size() > kMaxGgufHeader) prefix = prefix.first(kMaxGgufHeader);
  return HeaderReader(prefix, file_bytes, file).read();
}

GgufFile::GgufFile(const std::filesystem::path& path)
    : file_(path), header_(parse_gguf(file_.bytes(), file_.size(), path.string())) {}

std::span<const std::uint8_t> GgufFile::bytes(const GgufTensor& tensor) const {
  return file_.bytes().subspan(header_.data_offset + tensor.begin, tensor.bytes());
}

}  // namespace reef::model
