#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "reef/io/mapped_file.h"

namespace reef::model {

/// Element types of ggml that files may hold. A value is the type's number in a file; the numbers
/// left out belonged to types that ggml removed.
enum class GgmlType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2K = 10,
  kQ3K = 11,
  kQ4K = 12,
  kQ5K = 13,
  kQ6K = 14,
  kQ8K = 15,
  kIq2Xxs = 16,
  kIq2Xs = 17,
  kIq3Xxs = 18,
  kIq1S = 19,
  kIq4Nl = 20,
  kIq3S = 21,
  kIq2S = 22,
  kIq4Xs = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIq1M = 29,
  kBf16 = 30,
  kTq1_0 = 34,
  kTq2_0 = 35,
  kMxfp4 = 39,
  kNvfp4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

/// "Q4_K", as llama.cpp spells it.
std::string_view ggml_type_name(GgmlType type);

/// Quantised elements share scales, so they are stored in blocks; a row is whole blocks. Others are
/// blocks of one element.
struct GgmlBlock {
  std::uint32_t elements;
  std::uint32_t bytes;
};
GgmlBlock ggml_block(GgmlType type);

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<std::uint64_t> shape;  ///< outermost first, ggml's `ne` reversed; empty for a scalar
  std::uint64_t begin = 0;           ///< first byte, counted from the start of the data
  std::uint64_t end = 0;             ///< one past the last byte, without padding

  std::uint64_t bytes() const { return end - begin; }
  std::uint64_t elements() const { return bytes() / ggml_block(type).bytes * ggml_block(type).elements; }
};

/// Types of metadata; each value is the type's number in a file.
enum class GgufValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

/// "uint32", as the specification spells it.
std::string_view gguf_type_name(GgufValueType type);

/// Where the elements of an array lie. A vocabulary has 150,000 strings: they stay in the file.
struct GgufArray {
  GgufValueType element = GgufValueType::kUint8;
  std::uint64_t count = 0;
  std::uint64_t begin = 0;  ///< first byte of the elements, counted from the start of the file
  std::uint64_t end = 0;
};

struct GgufValue {
  GgufValueType type = GgufValueType::kUint8;
  /// Of unsigned types, of signed ones, of floats, of bool, string and array.
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string, GgufArray> value;

  /// Of any integer type, as writers differ in it; nullopt for a negative number or another type.
  std::optional<std::uint64_t> as_unsigned() const;
  /// nullptr when it is no string.
  const std::string* as_string() const { return std::get_if<std::string>(&value); }
  /// "32", "1e-05", "true", a string as it is (any UTF-8), "[string x 32000]" for an array.
  std::string to_text() const;
};

/// The format sets no limit to what stands before the data; files of the largest vocabularies have some tens of
/// megabytes there. The same bound as that of safetensors keeps the memory of reading a stranger's file bounded.
inline constexpr std::uint64_t kMaxGgufHeader = 100'000'000;

/// What a GGUF file says about its data, checked: the tensors lie one after the other, each padded
/// to the alignment, within the file, each with the bytes that its shape needs.
struct GgufHeader {
  std::uint32_t version = 3;      ///< 2 or 3, which differ in nothing that is stored in little-endian files
  std::uint32_t alignment = 32;   ///< a power of two, at least 8
  std::uint64_t data_offset = 0;  ///< where the data begins in the file, aligned when there are tensors
  std::uint64_t data_bytes = 0;   ///< to the end of the last tensor and its padding, if the file has it
  /// What follows in the file: no reader looks there, and files that hold more than one model in a
  /// row exist, so it is no fault.
  std::uint64_t trailing_bytes = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;  ///< in the file's order
  std::vector<GgufTensor> tensors;                          ///< in the order of their bytes, which is the file's
  std::vector<std::uint32_t> by_name;                       ///< indices into tensors, sorted by name

  /// nullptr when there is none.
  const GgufTensor* find(std::string_view name) const;
  const GgufValue* value(std::string_view key) const;
};

/// Whether a file that begins so means to be GGUF, in either byte order.
bool is_gguf(std::span<const std::uint8_t> prefix);

/// Checks and reads a header. `prefix` holds the first bytes of the file, at least the whole header.
/// Nothing tells its length in advance, so map the file; a vocabulary makes it some megabytes long. Of more than
/// kMaxGgufHeader bytes nothing is read.
/// `file_bytes` is the size of the file; `file` stands in messages.
/// Throws Error{corrupt} naming byte, key or tensor and the rule that is broken. Time and memory are
/// linear in the header (n log n for the order of n names), whatever it holds.
///
/// Rules are those of the specification and, where it is silent or laxer, of llama.cpp's reader:
/// alignment is a power of two, tensors follow each other in the order of their entries. What both
/// read is accepted: shapes of no dimension or with a zero, which converters write as marks. Arrays
/// of arrays are read although llama.cpp does not. Strings in arrays may be any bytes: byte-level
/// vocabularies hold halves of characters.
/// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; ggml/src/gguf.cpp of llama.cpp.
GgufHeader parse_gguf(std::span<const std::uint8_t> prefix, std::uint64_t file_bytes, const std::string& file);

/// A mapped file whose header holds.
class GgufFile {
 public:
  /// Throws Error{not_found}, Error{corrupt} as parse_gguf() does.
  explicit GgufFile(const std::filesystem::path& path);

  const GgufHeader& header() const { return header_; }
  const io::MappedFile& file() const { return file_; }
  /// Of a tensor of this file.
  std::span<const std::uint8_t> bytes(const GgufTensor& tensor) const;

 private:
  io::MappedFile file_;
  GgufHeader header_;
};

/// What a file says of the model that it is a part of (split.no, split.count, split.tensors.count).
struct GgufPart {
  std::uint64_t index = 0;  ///< from 0
  std::uint64_t count = 0;
  std::uint64_t tensors = 0;  ///< of all parts
};

/// nullopt for a file that is a whole model; files merged from parts say that they are 0.
/// Throws Error{corrupt} when the keys are incomplete or no sensible numbers.
std::optional<GgufPart> gguf_part(const GgufHeader& header, const std::string& file);

/// The name of a part: "stem-00001-of-00003.gguf". Loaders find the other parts by it.
struct GgufPartName {
  std::string stem;
  std::uint64_t number = 0;  ///< from 1
  std::uint64_t count = 0;

  /// Throws nothing; nullopt for another name.
  static std::optional<GgufPartName> parse(std::string_view file_name);
  std::string to_string() const;
};

/// Checks that the files are one whole model: a single one that is not split, or every part of one
/// split, each once, named after its place, with as many tensors as they say and no name twice.
/// `files` pairs plain file names with headers, in any order; at least one.
/// Throws Error{corrupt} naming file and tensor.
void check_gguf_parts(std::span<const std::pair<std::string, GgufHeader>> files);

}  // namespace reef::model
