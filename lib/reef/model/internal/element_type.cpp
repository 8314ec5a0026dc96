#include "reef/model/internal/element_type.h"

#include <algorithm>
#include <array>
#include <bit>

namespace reef::model::internal {
namespace {

constexpr std::array kTypes{
    ElementType{"BOOL", 8, "|b1"},
    ElementType{"U8", 8, "|u1"},
    ElementType{"I8", 8, "|i1"},
    ElementType{"F8_E4M3", 8, "|u1", "uint8"},
    ElementType{"F8_E5M2", 8, "|u1", "uint8"},
    ElementType{"F8_E8M0", 8, "|u1", "uint8"},
    ElementType{"F8_E4M3FNUZ", 8, "|u1", "uint8"},
    ElementType{"F8_E5M2FNUZ", 8, "|u1", "uint8"},
    ElementType{"I16", 16, "<i2"},
    ElementType{"U16", 16, "<u2"},
    ElementType{"F16", 16, "<f2", {}, FloatKind::f16},
    ElementType{"BF16", 16, "<f4", "float32", FloatKind::bf16},
    ElementType{"I32", 32, "<i4"},
    ElementType{"U32", 32, "<u4"},
    ElementType{"F32", 32, "<f4", {}, FloatKind::f32},
    ElementType{"C64", 64, "<c8"},
    ElementType{"F64", 64, "<f8", {}, FloatKind::f64},
    ElementType{"I64", 64, "<i8"},
    ElementType{"U64", 64, "<u8"},
    ElementType{"F4", 4},
    ElementType{"F6_E2M3", 6},
    ElementType{"F6_E3M2", 6},
};

}  // namespace

std::optional<ElementType> element_type(std::string_view dtype) {
  const auto it = std::find_if(kTypes.begin(), kTypes.end(), [&](const ElementType& t) { return t.dtype == dtype; });
  return it == kTypes.end() ? std::nullopt : std::optional(*it);
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

float from_f16(std::uint16_t bits) {
  constexpr std::uint32_t kInfinity = 0x7F800000;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t rest = static_cast<std::uint32_t>(bits & 0x7FFF) << 13;
  if ((bits & 0x7C00) == 0x7C00) return std::bit_cast<float>(sign | kInfinity | (rest & 0x7FFFFF));
  // The exponents' biases are 15 and 127; the product also makes normal numbers of subnormal ones.
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(std::bit_cast<float>(rest) * 0x1p112F));
}

}  // namespace reef::model::internal
