#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace reef {

/// "64MiB" is 64 * 1024^2, "64MB" is 64 * 1000^2, "64" is bytes; fractions of a unit are allowed
/// ("1.5GiB"), as are small letters and a blank before the unit. Throws Error{usage} for anything
/// else: negative numbers, "64M" (which of the two?), sizes beyond 64 bits.
std::uint64_t parse_size(std::string_view text);

/// IEC, three significant digits: "1.50 GiB", "912 B".
std::string format_size(std::uint64_t bytes);

/// "90s", "10m", "2h", "365d", "250ms", or a bare number of seconds; fractions are allowed, a
/// thousand years are the most. Throws Error{usage}.
std::chrono::milliseconds parse_duration(std::string_view text);

/// "850 ms", "12.3 s", "4 min 10 s".
std::string format_duration(std::chrono::milliseconds duration);

/// A count with thin separators a person can read: 5183 -> "5,183".
std::string format_count(std::uint64_t count);

/// "1 message", "2,000 messages"; `many` is `one` with an "s" when it is empty.
std::string counted(std::uint64_t count, std::string_view one, std::string_view many = {});

/// A decimal number without sign, leading zeros allowed and never octal. Throws Error{usage}
/// naming `what` ("--budget") for anything else.
std::uint64_t parse_count(std::string_view text, std::string_view what);

}  // namespace reef
