#include "reef/core/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "reef/core/error.h"

namespace reef {
namespace {

constexpr const char* kSizeHint = "write it like 64MiB (1024 based), 64MB (1000 based) or 67108864";
constexpr const char* kDurationHint = "write it like 90s, 10m, 2h, 365d or 90 (seconds)";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Digits to a number; nullopt when there are none, something else, or more than 64 bits hold.
std::optional<std::uint64_t> whole_number(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

/// "1.5GiB" taken apart: whole 1, fraction .5, unit "gib" (lower case, without the blank before).
struct Quantity {
  std::uint64_t whole = 0;
  long double fraction = 0;
  bool has_fraction = false;
  std::string unit;
};

std::optional<Quantity> scan_quantity(std::string_view text) {
  const auto take_digits = [&text] {
    const auto end = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_digit) - text.begin());
    const std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    return digits;
  };
  Quantity quantity;
  const auto whole = whole_number(take_digits());
  if (!whole) return std::nullopt;
  quantity.whole = *whole;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const std::string_view digits = take_digits();
    if (digits.empty()) return std::nullopt;
    quantity.has_fraction = true;
    long double place = 1;
    for (const char c : digits) quantity.fraction += static_cast<long double>(c - '0') * (place /= 10);
  }
  if (text.starts_with(' ') && text.size() > 1) text.remove_prefix(1);
  for (const char c : text) quantity.unit += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return quantity;
}

/// quantity * scale, rounded to the nearest; nullopt above `limit`.
std::optional<std::uint64_t> scaled(const Quantity& quantity, std::uint64_t scale, std::uint64_t limit) {
  if (quantity.whole > limit / scale) return std::nullopt;
  const std::uint64_t whole = quantity.whole * scale;
  const auto part = static_cast<std::uint64_t>(std::llround(quantity.fraction * static_cast<long double>(scale)));
  if (part > limit - whole) return std::nullopt;
  return whole + part;
}

std::optional<std::uint64_t> size_scale(std::string_view unit) {
  if (unit.empty() || unit == "b") return 1;
  constexpr std::string_view kPrefixes = "kmgtpe";
  const std::size_t power = kPrefixes.find(unit.front());
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = unit.substr(1);
  if (rest != "b" && rest != "ib") return std::nullopt;  // "64M" could mean either: ask
  std::uint64_t scale = 1;
  for (std::size_t i = 0; i <= power; ++i) scale *= rest == "ib" ? 1024 : 1000;
  return scale;
}

std::optional<std::uint64_t> duration_scale_ms(std::string_view unit) {
  if (unit == "ms") return 1;
  if (unit.empty() || unit == "s") return 1000;
  if (unit == "m") return 60'000;
  if (unit == "h") return 3'600'000;
  if (unit == "d") return 86'400'000;
  return std::nullopt;
}

}  // namespace

std::uint64_t parse_size(std::string_view text) {
  const auto quantity = scan_quantity(text);
  const auto scale = quantity ? size_scale(quantity->unit) : std::nullopt;
  if (!scale || (*scale == 1 && quantity->has_fraction)) {
    throw Error(Errc::usage, fmt::format("'{}' is not a size", text), kSizeHint);
  }
  const auto bytes = scaled(*quantity, *scale, std::numeric_limits<std::uint64_t>::max());
  if (!bytes) throw Error(Errc::usage, fmt::format("size '{}' is too large", text), "the largest is below 16 EiB");
  return *bytes;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // 1023.6 KiB would be rounded to 1024 KiB: it is 1.00 MiB.
  for (; value >= 1023.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kUnits[unit]);
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  const auto quantity = scan_quantity(text);
  const auto scale = quantity ? duration_scale_ms(quantity->unit) : std::nullopt;
  if (!scale) throw Error(Errc::usage, fmt::format("'{}' is not a duration", text), kDurationHint);
  // A thousand years: what is added to a time must not overflow it.
  constexpr std::uint64_t kLongest = 365'250ULL * 86'400'000;
  const auto ms = scaled(*quantity, *scale, kLongest);
  if (!ms) throw Error(Errc::usage, fmt::format("duration '{}' is too long", text), "the longest is 365250d");
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

std::string format_duration(std::chrono::milliseconds duration) {
  const std::int64_t ms = duration.count();
  if (ms < 0) return "-" + format_duration(-duration);
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 59'950) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const std::int64_t seconds = (ms + 500) / 1000;
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  const std::int64_t minutes = (seconds + 30) / 60;
  if (minutes < 24 * 60) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  const std::int64_t hours = (minutes + 30) / 60;
  return fmt::format("{} d {} h", hours / 24, hours % 24);
}

std::string format_count(std::uint64_t count) {
  std::string digits = fmt::to_string(count);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  const std::string number = format_count(count);
  if (count == 1) return fmt::format("{} {}", number, one);
  return many.empty() ? fmt::format("{} {}s", number, one) : fmt::format("{} {}", number, many);
}

std::uint64_t parse_count(std::string_view text, std::string_view what) {
  if (const auto count = whole_number(text)) return *count;
  const bool too_large = !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
  throw Error(Errc::usage, fmt::format("{}: '{}' is {}", what, text, too_large ? "too large" : "not a whole number"),
              "write a decimal number, 0 or more");
}

}  // namespace reef
