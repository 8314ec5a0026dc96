#include "reef/core/time.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>

#include "reef/core/error.h"

namespace reef {
namespace {

using namespace std::chrono;

struct Fields {
  year_month_day date;
  hh_mm_ss<milliseconds> clock;
};

Fields split(Time time) {
  const auto day = floor<days>(time);
  return {year_month_day(day), hh_mm_ss<milliseconds>(time - day)};
}

std::string to_text(Time time, char separator, std::string_view end) {
  const auto [date, clock] = split(time);
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}{}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), separator,
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count(), end);
}

/// Takes a time apart from left to right; each member function says whether its piece was there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }

  std::optional<char> one_of(std::string_view characters) {
    if (rest_.empty() || characters.find(rest_.front()) == std::string_view::npos) return std::nullopt;
    const char found = rest_.front();
    rest_.remove_prefix(1);
    return found;
  }

  /// Exactly `digits` decimal digits of a value of at most `highest`.
  bool number(std::size_t digits, int highest, int& value) {
    if (rest_.size() < digits) return false;
    value = 0;
    for (const char c : rest_.substr(0, digits)) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value <= highest;
  }

  /// ".123": the digits after the third are dropped, as databases here hold milliseconds.
  bool fraction(milliseconds& value) {
    if (!one_of(".")) return true;
    int digits = 0;
    int unit = 100;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; rest_.remove_prefix(1), ++digits) {
      value += milliseconds((rest_.front() - '0') * unit);
      unit /= 10;
    }
    return digits > 0;
  }

  /// "Z", "+01:00" or nothing, which means UTC.
  bool offset(minutes& value) {
    if (done() || one_of("Zz")) return true;
    const auto sign = one_of("+-");
    int hours_part = 0;
    int minutes_part = 0;
    if (!sign || !number(2, 23, hours_part) || !one_of(":") || !number(2, 59, minutes_part)) return false;
    value = minutes(hours_part * 60 + minutes_part) * (*sign == '-' ? -1 : 1);
    return true;
  }

 private:
  std::string_view rest_;
};

std::optional<Time> scan_calendar(std::string_view text) {
  Scanner scan(text);
  int year_part = 0;
  int month_part = 0;
  int day_part = 0;
  if (!scan.number(4, 9999, year_part) || !scan.one_of("-") || !scan.number(2, 12, month_part) || !scan.one_of("-") ||
      !scan.number(2, 31, day_part)) {
    return std::nullopt;
  }
  const year_month_day date(year(year_part), month(static_cast<unsigned>(month_part)),
                            day(static_cast<unsigned>(day_part)));
  if (!date.ok()) return std::nullopt;
  const Time midnight = sys_days(date);
  if (scan.done()) return midnight;

  int hour = 0;
  int minute = 0;
  int second = 0;
  milliseconds fraction{0};
  minutes offset{0};
  // Second 60 is a leap second; the system's clock counts it as the one that follows.
  if (!scan.one_of("Tt ") || !scan.number(2, 23, hour) || !scan.one_of(":") || !scan.number(2, 59, minute) ||
      !scan.one_of(":") || !scan.number(2, 60, second) || !scan.fraction(fraction) || !scan.offset(offset) ||
      !scan.done()) {
    return std::nullopt;
  }
  return midnight + hours(hour) + minutes(minute) + seconds(second) + fraction - offset;
}

/// "@1764000000" or "@1764000000.5", within the years 0000 to 9999 that four digits can show.
std::optional<Time> scan_epoch(std::string_view text) {
  long long whole = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error != std::errc{}) return std::nullopt;
  Scanner rest(text.substr(static_cast<std::size_t>(end - text.data())));
  milliseconds fraction{0};
  if (!rest.fraction(fraction) || !rest.done()) return std::nullopt;
  constexpr long long kFirst = -62'167'219'200;
  constexpr long long kLast = 253'402'300'799;
  if (whole < kFirst || whole > kLast) return std::nullopt;
  return Time(seconds(whole)) + (text.front() == '-' ? -fraction : fraction);
}

std::optional<Time> scan_time(std::string_view text) {
  if (text.starts_with('@')) return scan_epoch(text.substr(1));
  return scan_calendar(text);
}

}  // namespace

Time now() {
  if (const char* fixed = std::getenv("REEF_NOW"); fixed != nullptr && *fixed != '\0') {
    if (const auto time = scan_time(fixed)) return *time;
    throw Error(Errc::usage, fmt::format("environment variable REEF_NOW: '{}' is not a time", fixed),
                "write it like 2026-11-24T08:15:00Z, or unset it");
  }
  return floor<milliseconds>(system_clock::now());
}

std::string to_database_time(Time time) { return to_text(time, ' ', ""); }

std::string to_rfc3339(Time time) { return to_text(time, 'T', "Z"); }

Time parse_time(std::string_view text) {
  if (const auto time = scan_time(text)) return *time;
  throw Error(Errc::usage, fmt::format("'{}' is not a time", text),
              "write it like 2026-11-24T08:15:00Z, '2026-11-24 08:15:00', 2026-11-24 or @1764000000");
}

}  // namespace reef
