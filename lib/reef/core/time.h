#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace reef {

using Time = std::chrono::sys_time<std::chrono::milliseconds>;

/// The wall clock, or the time that REEF_NOW (RFC 3339) fixes for replays and tests.
Time now();

/// "2026-11-24 08:15:00.123", UTC: the form that databases hold (sorts with CURRENT_TIMESTAMP).
std::string to_database_time(Time time);

/// "2026-11-24T08:15:00.123Z": the form that JSON and people see.
std::string to_rfc3339(Time time);

/// Reads RFC 3339, the database form, a date alone ("2026-11-24": its midnight, UTC) or seconds
/// since the epoch preceded by "@". A time without an offset is UTC; digits below a millisecond
/// are dropped. Throws Error{usage} naming the text.
Time parse_time(std::string_view text);

}  // namespace reef
