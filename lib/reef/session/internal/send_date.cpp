#include <fmt/format.h>

#include <array>
#include <cctype>
#include <chrono>
#include <optional>

#include "reef/core/time.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/own_format.h"

namespace reef::session::internal {
namespace {

using namespace std::chrono;

constexpr std::array<std::string_view, 12> kMonths{"january",   "february", "march",    "april",
                                                   "may",       "june",     "july",     "august",
                                                   "september", "october",  "november", "december"};

/// Takes a text apart from left to right, whatever blanks there are.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() {
    skip();
    return rest_.empty();
  }
  std::optional<int> number(std::size_t most_digits) {
    skip();
    std::size_t digits = 0;
    int value = 0;
    for (; digits < rest_.size() && digits < most_digits && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits)
      value = value * 10 + (rest_[digits] - '0');
    rest_.remove_prefix(digits);
    return digits > 0 ? std::optional(value) : std::nullopt;
  }
  bool word(std::string_view wanted) {
    skip();
    if (rest_.size() < wanted.size()) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (std::tolower(static_cast<unsigned char>(rest_[i])) != wanted[i]) return false;
    rest_.remove_prefix(wanted.size());
    return true;
  }

 private:
  void skip() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

std::string calendar_time(int year_part, int month_part, int day_part, milliseconds of_day) {
  const year_month_day date(year(year_part), month(static_cast<unsigned>(month_part)),
                            day(static_cast<unsigned>(day_part)));
  if (!date.ok() || of_day >= hours(24)) return {};
  return to_database_time(Time(sys_days(date)) + of_day);
}

/// "June 19, 2023 2:20pm".
std::string scan_words(std::string_view text) {
  Scanner scan(text);
  int month_part = 0;
  for (std::size_t i = 0; i < kMonths.size() && month_part == 0; ++i)
    if (scan.word(kMonths[i])) month_part = static_cast<int>(i) + 1;
  if (month_part == 0) return {};
  const auto day_part = scan.number(2);
  if (!day_part || !scan.word(",")) return {};
  const auto year_part = scan.number(4);
  const auto hour = scan.number(2);
  if (!year_part || !hour || !scan.word(":")) return {};
  const auto minute = scan.number(2);
  if (!minute || *minute > 59) return {};
  int hours_part = *hour;
  if (const bool is_late = scan.word("pm"); is_late || scan.word("am")) {
    if (hours_part < 1 || hours_part > 12) return {};
    hours_part = hours_part % 12 + (is_late ? 12 : 0);
  }
  if (!scan.done()) return {};
  return calendar_time(*year_part, month_part, *day_part, hours(hours_part) + minutes(*minute));
}

/// "2023-06-19 @14h 20m 55s 123ms", also without leading zeros, blanks or milliseconds.
std::string scan_letters(std::string_view text) {
  Scanner scan(text);
  const auto year_part = scan.number(4);
  if (!year_part || !scan.word("-")) return {};
  const auto month_part = scan.number(2);
  if (!month_part || !scan.word("-")) return {};
  const auto day_part = scan.number(2);
  if (!day_part || !scan.word("@")) return {};
  const auto hour = scan.number(2);
  if (!hour || !scan.word("h")) return {};
  const auto minute = scan.number(2);
  if (!minute || *minute > 59 || !scan.word("m")) return {};
  const auto second = scan.number(2);
  if (!second || *second > 59 || !scan.word("s")) return {};
  const auto fraction = scan.number(3);
  if ((fraction && !scan.word("ms")) || !scan.done()) return {};
  return calendar_time(*year_part, *month_part, *day_part,
                       hours(*hour) + minutes(*minute) + seconds(*second) + milliseconds(fraction.value_or(0)));
}

}  // namespace

std::string time_of_send_date(std::string_view text) {
  constexpr std::size_t kDigitsOfMilliseconds = 12;  // from 2001 on
  if (text.size() >= kDigitsOfMilliseconds && text.find_first_not_of("0123456789.") == std::string_view::npos) {
    const auto whole = text.substr(0, text.find('.'));
    return database_time(fmt::format("@{}.{}", whole.substr(0, whole.size() - 3), whole.substr(whole.size() - 3)));
  }
  for (auto* scan : {scan_words, scan_letters})
    if (auto time = scan(text); !time.empty()) return time;
  return database_time(text);
}

}  // namespace reef::session::internal
