#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace reef::model::internal {

enum class FloatKind { none, f16, bf16, f32, f64 };

/// What an element of a tensor is, and how a .npy file holds it.
struct ElementType {
  std::string_view dtype;  ///< as the format of weights spells it: "BF16"
  unsigned bits = 8;
  std::string_view npy{};  ///< "<f4"; empty: numpy has no such type
  /// What the elements become in a .npy file: "float32" (every BF16 is one), "uint8" (their bytes as they are); empty:
  /// what they were.
  std::string_view npy_conversion{};
  FloatKind kind = FloatKind::none;

  /// Whether an element is bytes of its own; those of F4 and F6 share some.
  bool is_whole_bytes() const { return bits % 8 == 0; }
  std::uint64_t bytes() const { return bits / 8; }
};

/// nullopt for what is no plain array of elements, such as the quantised blocks of GGUF.
std::optional<ElementType> element_type(std::string_view dtype);

/// Exact: every value of these types is a float32.
float from_f16(std::uint16_t bits);
float from_bf16(std::uint16_t bits);

}  // namespace reef::model::internal
