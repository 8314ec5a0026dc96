#include "reef/model/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "reef/core/error.h"
#include "reef/model/internal/duplicate_name.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model {
namespace {

using internal::duplicate_name;
using internal::JsonScanner;
using internal::legible;
using internal::PositionedName;

constexpr std::uint64_t kLengthBytes = 8;
constexpr const char* kDamagedHint = "the file is damaged or incomplete; get it again from its source";

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  unsigned bits;
};

/// In the order of the enumeration.
constexpr std::array<DtypeRow, 22> kDtypes{{
    {Dtype::kBool, "BOOL", 8},
    {Dtype::kU8, "U8", 8},
    {Dtype::kI8, "I8", 8},
    {Dtype::kF8E4M3, "F8_E4M3", 8},
    {Dtype::kF8E5M2, "F8_E5M2", 8},
    {Dtype::kF8E8M0, "F8_E8M0", 8},
    {Dtype::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
    {Dtype::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
    {Dtype::kI16, "I16", 16},
    {Dtype::kU16, "U16", 16},
    {Dtype::kF16, "F16", 16},
    {Dtype::kBf16, "BF16", 16},
    {Dtype::kI32, "I32", 32},
    {Dtype::kU32, "U32", 32},
    {Dtype::kF32, "F32", 32},
    {Dtype::kC64, "C64", 64},
    {Dtype::kF64, "F64", 64},
    {Dtype::kI64, "I64", 64},
    {Dtype::kU64, "U64", 64},
    {Dtype::kF4, "F4", 4},
    {Dtype::kF6E2M3, "F6_E2M3", 6},
    {Dtype::kF6E3M2, "F6_E3M2", 6},
}};

const DtypeRow& row_of(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

[[noreturn]] void fail(const std::string& file, std::uint64_t byte, const std::string& rule) {
  throw Error(Errc::corrupt, fmt::format("{}: byte {}: {}", file, byte, rule), kDamagedHint);
}

std::string byte_count(std::uint64_t count) { return fmt::format("{} byte{}", count, count == 1 ? "" : "s"); }

/// "[2,3]", cut: a header has room for millions of sizes.
std::string shape_text(const std::vector<std::uint64_t>& shape) {
  constexpr std::size_t kShown = 8;
  const std::span<const std::uint64_t> shown(shape.data(), std::min(shape.size(), kShown));
  return fmt::format("[{}{}]", fmt::join(shown, ","), shape.size() > kShown ? ",…" : "");
}

class HeaderReader {
 public:
  HeaderReader(std::string_view json, const std::string& file, std::uint64_t data_bytes)
      : scanner_(json, file, kLengthBytes), file_(file) {
    header_.data_offset = kLengthBytes + json.size();
    header_.data_bytes = data_bytes;
  }

  SafetensorsHeader read() {
    scanner_.object("'{'", [&](std::string name, std::size_t at) {
      if (name == "__metadata__") {
        read_metadata(at);
      } else {
        read_tensor(std::move(name), at);
      }
    });
    scanner_.expect_end();
    check_names();
    order_and_check_cover();
    index_by_name();
    return std::move(header_);
  }

 private:
  void read_metadata(std::size_t at) {
    if (std::exchange(header_.has_metadata, true)) scanner_.fail(at, "__metadata__ occurs twice");
    scanner_.set_subject("in", "__metadata__");
    std::vector<std::size_t> positions;
    scanner_.object("an object of strings", [&](std::string key, std::size_t key_at) {
      positions.push_back(key_at);
      header_.metadata.emplace_back(std::move(key), scanner_.string("a string (metadata holds strings only)"));
    });
    std::vector<PositionedName> names;
    for (std::size_t i = 0; i < positions.size(); ++i) names.push_back({header_.metadata[i].first, positions[i]});
    if (const auto twice = duplicate_name(names)) {
      scanner_.fail(twice->position, fmt::format("the key '{}' occurs twice", legible(twice->name)));
    }
    std::sort(header_.metadata.begin(), header_.metadata.end());
    scanner_.set_subject("", {});
  }

  void read_tensor(std::string name, std::size_t at) {
    scanner_.set_subject("tensor", name);
    Tensor tensor;
    tensor.name = std::move(name);
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
    scanner_.object(
        "an object with dtype, shape and data_offsets", [&](const std::string& field, std::size_t field_at) {
          const auto once = [&](bool& seen) {
            if (std::exchange(seen, true)) scanner_.fail(field_at, fmt::format("the field '{}' occurs twice", field));
          };
          if (field == "dtype") {
            once(has_dtype);
            tensor.dtype = read_dtype();
          } else if (field == "shape") {
            once(has_shape);
            scanner_.array("an array of sizes", [&] { tensor.shape.push_back(scanner_.unsigned_integer("a size")); });
          } else if (field == "data_offsets") {
            once(has_offsets);
            read_offsets(tensor);
          } else {
            scanner_.fail(field_at, fmt::format("unknown field '{}'", legible(field)));
          }
        });
    if (!has_dtype) scanner_.fail(at, "dtype is missing");
    if (!has_shape) scanner_.fail(at, "shape is missing");
    if (!has_offsets) scanner_.fail(at, "data_offsets is missing");
    check_size(tensor, at);
    header_.tensors.push_back(std::move(tensor));
    positions_.push_back(at);
    scanner_.set_subject("", {});
  }

  Dtype read_dtype() {
    scanner_.peek();
    const std::size_t at = scanner_.position();
    const std::string name = scanner_.string("the name of a dtype");
    const auto row = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& r) { return r.name == name; });
    if (row == kDtypes.end()) scanner_.fail(at, fmt::format("unknown dtype '{}'", legible(name)));
    return row->dtype;
  }

  void read_offsets(Tensor& tensor) {
    scanner_.peek();
    const std::size_t at = scanner_.position();
    std::array<std::uint64_t, 2> offsets{};
    std::size_t count = 0;
    scanner_.array("an array of two offsets", [&] {
      const std::uint64_t value = scanner_.unsigned_integer("an offset");
      if (count == 2) scanner_.fail(at, "data_offsets must be two numbers, there are more");
      offsets[count++] = value;
    });
    if (count != 2) scanner_.fail(at, fmt::format("data_offsets must be two numbers, there are {}", count));
    tensor.begin = offsets[0];
    tensor.end = offsets[1];
    if (tensor.begin > tensor.end) {
      scanner_.fail(at, fmt::format("data_offsets begin at {} after their end at {}", tensor.begin, tensor.end));
    }
    if (tensor.end > header_.data_bytes) {
      scanner_.fail(at, fmt::format("data_offsets end at {}, past the end of the data at {} (cut file?)", tensor.end,
                                    header_.data_bytes));
    }
  }

  void check_size(const Tensor& tensor, std::size_t at) const {
    std::uint64_t bits = 1;
    for (const std::uint64_t size : tensor.shape) {
      if (__builtin_mul_overflow(bits, size, &bits)) scanner_.fail(at, "the product of the shape overflows 64 bits");
    }
    if (__builtin_mul_overflow(bits, std::uint64_t{dtype_bits(tensor.dtype)}, &bits)) {
      scanner_.fail(at, "the size of the tensor overflows 64 bits");
    }
    if (bits % 8 != 0) {
      scanner_.fail(at, fmt::format("{} bits of {} are no whole number of bytes", bits, dtype_name(tensor.dtype)));
    }
    if (bits / 8 != tensor.bytes()) {
      scanner_.fail(at, fmt::format("shape {} of {} takes {}, data_offsets give {}", shape_text(tensor.shape),
                                    dtype_name(tensor.dtype), byte_count(bits / 8), tensor.bytes()));
    }
  }

  void check_names() const {
    std::vector<PositionedName> names;
    names.reserve(positions_.size());
    for (std::size_t i = 0; i < positions_.size(); ++i) names.push_back({header_.tensors[i].name, positions_[i]});
    if (const auto twice = duplicate_name(names)) {
      scanner_.fail(twice->position, fmt::format("tensor '{}' occurs twice", legible(twice->name)));
    }
  }

  void order_and_check_cover() {
    auto& tensors = header_.tensors;
    const auto before = [](const Tensor& a, const Tensor& b) {
      if (a.begin != b.begin) return a.begin < b.begin;
      return a.end != b.end ? a.end < b.end : a.name < b.name;
    };
    // Writers list tensors in the order of their bytes.
    if (!std::is_sorted(tensors.begin(), tensors.end(), before)) std::sort(tensors.begin(), tensors.end(), before);
    std::uint64_t covered = 0;
    const Tensor* last = nullptr;
    for (const Tensor& tensor : tensors) {
      if (tensor.begin < covered) {
        fail(file_, header_.data_offset + tensor.begin,
             fmt::format("tensor {} overlaps tensor {}", legible(tensor.name), legible(last->name)));
      }
      if (tensor.begin > covered) {
        fail(file_, header_.data_offset + covered,
             fmt::format("a hole of {} before tensor {}", byte_count(tensor.begin - covered), legible(tensor.name)));
      }
      covered = tensor.end;
      last = &tensor;
    }
    if (covered != header_.data_bytes) {
      const std::string rest = byte_count(header_.data_bytes - covered);
      fail(file_, header_.data_offset + covered,
           last == nullptr ? fmt::format("{} of data without a tensor", rest)
                           : fmt::format("{} after tensor {}, the last one", rest, legible(last->name)));
    }
  }

  void index_by_name() {
    const auto& tensors = header_.tensors;
    header_.by_name.resize(tensors.size());
    std::iota(header_.by_name.begin(), header_.by_name.end(), 0U);
    std::sort(header_.by_name.begin(), header_.by_name.end(),
              [&](std::uint32_t a, std::uint32_t b) { return tensors[a].name < tensors[b].name; });
  }

  JsonScanner scanner_;
  const std::string& file_;
  SafetensorsHeader header_;
  std::vector<std::size_t> positions_;  ///< of each tensor's name, in the order of reading
};

}  // namespace

std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }
unsigned dtype_bits(Dtype dtype) { return row_of(dtype).bits; }

const Tensor* SafetensorsHeader::find(std::string_view name) const {
  const auto it = std::lower_bound(by_name.begin(), by_name.end(), name,
                                   [&](std::uint32_t i, std::string_view wanted) { return tensors[i].name < wanted; });
  return it != by_name.end() && tensors[*it].name == name ? &tensors[*it] : nullptr;
}

bool SafetensorsHeader::is_aligned(const Tensor& tensor) const {
  const std::uint64_t size = std::max(dtype_bits(tensor.dtype) / 8, 1U);
  return (data_offset + tensor.begin) % size == 0;
}

SafetensorsHeader parse_safetensors(std::span<const std::uint8_t> prefix, std::uint64_t file_bytes,
                                    const std::string& file) {
  if (file_bytes < kLengthBytes || prefix.size() < kLengthBytes) {
    fail(file, file_bytes,
         fmt::format("the file has {}, shorter than its 8-byte length field", byte_count(file_bytes)));
  }
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) length = length << 8 | prefix[i];
  if (length == 0) fail(file, 0, "the header is empty");
  if (length > kMaxSafetensorsHeader) {
    fail(file, 0, fmt::format("a header of {}, the limit is {}", byte_count(length), kMaxSafetensorsHeader));
  }
  if (length > file_bytes - kLengthBytes || length > prefix.size() - kLengthBytes) {
    fail(file, 0,
         fmt::format("a header of {} reaches past the end of the file ({})", byte_count(length),
                     byte_count(file_bytes)));
  }
  const std::string_view json(reinterpret_cast<const char*>(prefix.data()) + kLengthBytes, length);
  if (json.front() != '{') fail(file, kLengthBytes, "the header does not begin with '{'");
  return HeaderReader(json, file, file_bytes - kLengthBytes - length).read();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors(file_.bytes(), file_.size(), path.string())) {}

const Tensor& SafetensorsFile::require(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  throw Error(Errc::corrupt, fmt::format("{}: there is no tensor '{}'", file_.path(), name),
              "this is another kind of model, or a damaged one");
}

std::span<const std::uint8_t> SafetensorsFile::bytes(const Tensor& tensor) const {
  return file_.bytes().subspan(header_.data_offset + tensor.begin, tensor.bytes());
}

}  // namespace reef::model
