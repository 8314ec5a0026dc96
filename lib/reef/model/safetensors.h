#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reef/io/mapped_file.h"

namespace reef::model {

/// Element types of the safetensors format. C64 is a pair of float32.
enum class Dtype {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
  kF4,
  kF6E2M3,
  kF6E3M2,
};

/// "BF16", as the file spells it.
std::string_view dtype_name(Dtype dtype);
/// Bits of one element: 4 and 6 occur.
unsigned dtype_bits(Dtype dtype);

struct Tensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::uint64_t> shape;  ///< outermost first; empty for a scalar
  std::uint64_t begin = 0;           ///< first byte, counted from the start of the data
  std::uint64_t end = 0;             ///< one past the last byte

  std::uint64_t bytes() const { return end - begin; }
  std::uint64_t elements() const { return bytes() * 8 / dtype_bits(dtype); }
};

/// The largest header that the format allows.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// What a safetensors file says about its data, checked: the tensors cover the data from its first
/// byte to the end of the file without hole or overlap, each with the bytes that its shape needs.
struct SafetensorsHeader {
  std::uint64_t data_offset = 0;  ///< where the data begins in the file: 8 + length of the JSON
  std::uint64_t data_bytes = 0;
  std::vector<Tensor> tensors;                                ///< in the order of their bytes
  std::vector<std::pair<std::string, std::string>> metadata;  ///< sorted by key
  bool has_metadata = false;                                  ///< it may be there and empty
  std::vector<std::uint32_t> by_name;                         ///< indices into tensors, sorted by name

  /// nullptr when there is none.
  const Tensor* find(std::string_view name) const;
  /// Whether the tensor begins at a multiple of its element's size, so that it can be used in
  /// place. Files that break this are legal and must be read with memcpy.
  bool is_aligned(const Tensor& tensor) const;
};

/// Checks and reads a header. `prefix` holds the first bytes of the file, at least the whole header
/// (or all of a shorter file); `file_bytes` is the size of the file; `file` stands in messages.
/// Throws Error{corrupt} naming byte, tensor and the rule that is broken. Time and memory are
/// linear in the header (n log n for the order of n tensors), whatever it holds.
/// Format: https://github.com/huggingface/safetensors, README.md, "Format".
SafetensorsHeader parse_safetensors(std::span<const std::uint8_t> prefix, std::uint64_t file_bytes,
                                    const std::string& file);

/// A mapped file whose header holds.
class SafetensorsFile {
 public:
  /// Throws Error{not_found}, Error{corrupt} as parse_safetensors() does.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const SafetensorsHeader& header() const { return header_; }
  const io::MappedFile& file() const { return file_; }
  const Tensor* find(std::string_view name) const { return header_.find(name); }
  /// Throws Error{corrupt} naming file and tensor when there is none.
  const Tensor& require(std::string_view name) const;
  /// Of a tensor of this file. Unaligned when !header().is_aligned(tensor).
  std::span<const std::uint8_t> bytes(const Tensor& tensor) const;

 private:
  io::MappedFile file_;
  SafetensorsHeader header_;
};

/// model.safetensors.index.json: which shard holds which tensor.
struct ShardIndex {
  struct Entry {
    std::string tensor;
    std::string file;
  };
  std::vector<Entry> entries;               ///< sorted by tensor
  std::optional<std::uint64_t> total_size;  ///< bytes of all tensors

  /// The shards named, sorted, each once.
  std::vector<std::string> files() const;
};

/// Throws Error{corrupt} for anything but plain file names, each tensor once.
ShardIndex parse_shard_index(std::string_view json, const std::string& file);

/// Checks that every tensor is in exactly the shard which the index names, none is unlisted and
/// total_size is right. `shards` pairs each of index.files() with its header, in that order.
/// Throws Error{corrupt} naming tensor and shard.
void check_shard_index(const ShardIndex& index, std::span<const std::pair<std::string, SafetensorsHeader>> shards,
                       const std::string& file);

}  // namespace reef::model
