#include "reef/model/internal/compare_elements.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace reef::model::internal {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Runs on_different(x, y) for elements whose bits differ.
template <typename Bits, typename OnDifferent>
void each_different(Bytes a, Bytes b, ElementDifferences& found, OnDifferent on_different) {
  for (std::size_t at = 0; at + sizeof(Bits) <= a.size(); at += sizeof(Bits)) {
    Bits x = 0, y = 0;
    std::memcpy(&x, a.data() + at, sizeof x);
    std::memcpy(&y, b.data() + at, sizeof y);
    if (x == y) continue;
    ++found.elements;
    on_different(x, y);
  }
}

template <typename Bits, typename ToValue>
void compare_floats(Bytes a, Bytes b, ElementDifferences& found, ToValue to_value) {
  each_different<Bits>(a, b, found, [&](Bits x, Bits y) {
    const double difference = std::abs(static_cast<double>(to_value(x)) - static_cast<double>(to_value(y)));
    if (std::isfinite(difference)) {
      found.largest = std::max(found.largest, difference);
    } else {
      ++found.nonfinite;
    }
  });
}

template <typename Bits>
void count_elements(Bytes a, Bytes b, ElementDifferences& found) {
  each_different<Bits>(a, b, found, [](Bits, Bits) {});
}

}  // namespace

void ElementDifferences::add(const ElementDifferences& more) {
  bytes += more.bytes;
  elements += more.elements;
  nonfinite += more.nonfinite;
  largest = std::max(largest, more.largest);
}

ElementDifferences compare_elements(Bytes a, Bytes b, const std::optional<ElementType>& type) {
  ElementDifferences found;
  if (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0) return found;
  for (std::size_t i = 0; i < a.size(); ++i) found.bytes += a[i] != b[i] ? 1 : 0;
  if (!type) return found;
  switch (type->kind) {
    case FloatKind::f16:
      compare_floats<std::uint16_t>(a, b, found, from_f16);
      return found;
    case FloatKind::bf16:
      compare_floats<std::uint16_t>(a, b, found, from_bf16);
      return found;
    case FloatKind::f32:
      compare_floats<std::uint32_t>(a, b, found, [](std::uint32_t bits) { return std::bit_cast<float>(bits); });
      return found;
    case FloatKind::f64:
      compare_floats<std::uint64_t>(a, b, found, [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
      return found;
    case FloatKind::none:
      break;
  }
  if (type->bits == 8) found.elements = found.bytes;
  if (type->bits == 16) count_elements<std::uint16_t>(a, b, found);
  if (type->bits == 32) count_elements<std::uint32_t>(a, b, found);
  if (type->bits == 64) count_elements<std::uint64_t>(a, b, found);
  return found;
}

}  // namespace reef::model::internal
