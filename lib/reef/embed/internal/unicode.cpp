#include "reef/embed/internal/unicode.h"

#include <algorithm>
#include <iterator>

namespace reef::embed::internal {
namespace {

struct ClassRange {
  std::uint32_t first, last;
  std::uint8_t value;
};

/// Code points first..last map to targets[at] and on.
struct MapRun {
  std::uint32_t first, last;
  std::uint16_t at;
};

/// Targets from here on are indexes of kSequences.
constexpr std::uint32_t kSequence = 0x110000;

#include "reef/embed/internal/unicode_tables.inc"

/// The range that holds `code`, or null. `ranges` are sorted and do not overlap.
template <typename Range, std::size_t Count>
constexpr const Range* find(const Range (&ranges)[Count], std::uint32_t code) {
  const Range* range =
      std::lower_bound(std::begin(ranges), std::end(ranges), code,
                       [](const Range& candidate, std::uint32_t wanted) { return candidate.last < wanted; });
  return range != std::end(ranges) && range->first <= code ? range : nullptr;
}

template <std::size_t Count>
constexpr std::uint8_t value_of(const ClassRange (&ranges)[Count], std::uint32_t code) {
  const ClassRange* range = find(ranges, code);
  return range ? range->value : std::uint8_t{0};
}

template <std::size_t Runs, std::size_t Targets>
constexpr Sequence map(const MapRun (&runs)[Runs], const std::uint32_t (&targets)[Targets], std::uint32_t code) {
  const MapRun* run = find(runs, code);
  if (!run) return {{code}};
  const std::uint32_t target = targets[run->at + (code - run->first)];
  return target < kSequence ? Sequence{{target}} : kSequences[target - kSequence];
}

/// Latin, its supplements and extensions up to here are read from tables of their own, without a search.
constexpr std::uint32_t kDirect = 0x250;

constexpr auto kDirectClass = [] {
  std::array<std::uint8_t, kDirect> classes{};
  for (std::uint32_t code = 0; code < kDirect; ++code) classes[code] = value_of(kClassRanges, code);
  return classes;
}();

constexpr auto kDirectStrip = [] {
  std::array<std::uint16_t, kDirect> bases{};
  for (std::uint32_t code = 0; code < kDirect; ++code) {
    bases[code] = static_cast<std::uint16_t>(map(kStripRuns, kStripTargets, code).codes[0]);
  }
  return bases;
}();

/// Hangul syllables decompose by arithmetic (The Unicode Standard, section 3.12).
constexpr std::uint32_t kHangulFirst = 0xac00, kHangulLast = 0xd7a3, kLeading = 0x1100, kVowel = 0x1161,
                        kTrailing = 0x11a7, kVowels = 21, kTrailings = 28;

Sequence decompose_hangul(std::uint32_t code) {
  const std::uint32_t index = code - kHangulFirst;
  const std::uint32_t trailing = index % kTrailings;
  return {{kLeading + index / (kVowels * kTrailings), kVowel + index / kTrailings % kVowels,
           trailing != 0 ? kTrailing + trailing : 0}};
}

}  // namespace

constinit const std::array<std::uint8_t, 128> kAsciiClass = [] {
  std::array<std::uint8_t, 128> classes{};
  std::copy_n(kDirectClass.begin(), classes.size(), classes.begin());
  return classes;
}();

std::uint8_t char_class(std::uint32_t code) {
  return code < kDirect ? kDirectClass[code] : value_of(kClassRanges, code);
}

std::uint8_t combining_class(std::uint32_t code) { return value_of(kCombiningRanges, code); }

Sequence strip_accents(std::uint32_t code) {
  if (code < kDirect) return {{kDirectStrip[code]}};
  if (char_class(code) & kMark) return {};
  if (code >= kHangulFirst && code <= kHangulLast) return decompose_hangul(code);
  return map(kStripRuns, kStripTargets, code);
}

Sequence to_lower(std::uint32_t code) { return map(kLowerRuns, kLowerTargets, code); }

}  // namespace reef::embed::internal
