#include <fmt/format.h>

#include <array>
#include <bit>
#include <type_traits>

#include "reef/core/text.h"
#include "reef/model/gguf.h"
#include "reef/model/internal/gguf_cursor.h"
#include "reef/model/internal/gguf_value.h"

namespace reef::model {
namespace {

using internal::GgufCursor;

constexpr int kMaxNesting = 8;  // of arrays: the reader recurses
// The fewest bytes that an element can take, so that a count is known to fit before it is believed.
constexpr std::uint64_t kMinString = 8;
constexpr std::uint64_t kMinArray = 4 + 8;

struct TypeRow {
  std::string_view name;
  std::size_t bytes;  ///< 0 for strings and arrays, whose sizes differ
};

/// In the order of the enumeration.
constexpr std::array<TypeRow, 13> kTypes{{
    {"uint8", 1},
    {"int8", 1},
    {"uint16", 2},
    {"int16", 2},
    {"uint32", 4},
    {"int32", 4},
    {"float32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"uint64", 8},
    {"int64", 8},
    {"float64", 8},
}};

std::size_t size_of(GgufValueType type) { return kTypes[static_cast<std::size_t>(type)].bytes; }

GgufValueType read_type(GgufCursor& cursor) {
  const std::size_t at = cursor.position();
  const std::uint32_t number = cursor.u32("the type of a value");
  if (number >= kTypes.size()) cursor.fail(at, fmt::format("unknown type {} of a value", number));
  return static_cast<GgufValueType>(number);
}

bool read_bool(GgufCursor& cursor) {
  const std::size_t at = cursor.position();
  const std::uint64_t byte = cursor.number(1, "a bool");
  if (byte > 1) cursor.fail(at, fmt::format("a bool of {}; only 0 and 1 are allowed", byte));
  return byte == 1;
}

GgufArray read_array(GgufCursor& cursor, int depth) {
  const std::size_t at = cursor.position();
  if (depth > kMaxNesting) cursor.fail(at, fmt::format("arrays nested more than {} deep", kMaxNesting));
  GgufArray array;
  array.element = read_type(cursor);
  array.count = cursor.u64("the length of an array");
  array.begin = cursor.position();
  const std::size_t size = size_of(array.element);
  const std::uint64_t least = array.element == GgufValueType::kString ? kMinString : kMinArray;
  cursor.require_room(at, array.count, size != 0 ? size : least,
                      fmt::format("elements of type {}", gguf_type_name(array.element)));
  if (array.element == GgufValueType::kString) {
    for (std::uint64_t i = 0; i < array.count; ++i) cursor.string("a string");
  } else if (array.element == GgufValueType::kArray) {
    for (std::uint64_t i = 0; i < array.count; ++i) read_array(cursor, depth + 1);
  } else if (array.element == GgufValueType::kBool) {
    for (std::uint64_t i = 0; i < array.count; ++i) read_bool(cursor);
  } else {
    cursor.take(array.count * size, "an array");
  }
  array.end = cursor.position();
  return array;
}

std::string read_string(GgufCursor& cursor) {
  const std::size_t at = cursor.position();
  const std::string_view text = cursor.string("a string");
  if (!is_valid_utf8(text)) cursor.fail(at, "a string that is not UTF-8");
  return std::string(text);
}

/// Integers by their width, with their sign.
std::int64_t read_signed(GgufCursor& cursor, std::size_t width) {
  const std::size_t unused = 64 - 8 * width;
  return static_cast<std::int64_t>(cursor.number(width, "a number") << unused) >> unused;
}

}  // namespace

GgufValue internal::read_gguf_value(GgufCursor& cursor) {
  const GgufValueType type = read_type(cursor);
  switch (type) {
    case GgufValueType::kUint8:
    case GgufValueType::kUint16:
    case GgufValueType::kUint32:
    case GgufValueType::kUint64:
      return {type, cursor.number(size_of(type), "a number")};
    case GgufValueType::kInt8:
    case GgufValueType::kInt16:
    case GgufValueType::kInt32:
    case GgufValueType::kInt64:
      return {type, read_signed(cursor, size_of(type))};
    case GgufValueType::kFloat32:
      return {type, double{std::bit_cast<float>(cursor.u32("a number"))}};
    case GgufValueType::kFloat64:
      return {type, std::bit_cast<double>(cursor.u64("a number"))};
    case GgufValueType::kBool:
      return {type, read_bool(cursor)};
    case GgufValueType::kArray:
      return {type, read_array(cursor, 1)};
    case GgufValueType::kString:
      break;
  }
  return {type, read_string(cursor)};
}

std::string_view gguf_type_name(GgufValueType type) { return kTypes[static_cast<std::size_t>(type)].name; }

std::optional<std::uint64_t> GgufValue::as_unsigned() const {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  return std::nullopt;
}

std::string GgufValue::to_text() const {
  // The shortest digits that read back as the same float32: as a double, 1e-05 has seventeen.
  if (type == GgufValueType::kFloat32) return fmt::format("{}", static_cast<float>(std::get<double>(value)));
  return std::visit(
      [](const auto& v) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, GgufArray>) {
          return fmt::format("[{} x {}]", gguf_type_name(v.element), v.count);
        } else {
          return fmt::format("{}", v);
        }
      },
      value);
}

}  // namespace reef::model
