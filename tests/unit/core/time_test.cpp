#include "reef/core/time.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "reef/core/error.h"

namespace reef {
namespace {

using std::chrono::milliseconds;

Time at(std::int64_t ms) { return Time(milliseconds(ms)); }

TEST_CASE("a time in its two forms") {
  const Time time = at(1'795'508'100'123);
  CHECK(to_database_time(time) == "2026-11-24 08:15:00.123");
  CHECK(to_rfc3339(time) == "2026-11-24T08:15:00.123Z");
  CHECK(to_rfc3339(at(-1)) == "1969-12-31T23:59:59.999Z");
  CHECK(to_rfc3339(at(0)) == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("every form that is written can be read") {
  for (const std::int64_t ms : {0LL, -1LL, 1'795'508'100'123LL, 951'827'696'007LL, -62'135'596'800'000LL}) {
    CHECK(parse_time(to_database_time(at(ms))) == at(ms));
    CHECK(parse_time(to_rfc3339(at(ms))) == at(ms));
  }
}

TEST_CASE("parse_time reads RFC 3339, dates and seconds") {
  CHECK(parse_time("2026-11-24T08:15:00Z") == at(1'795'508'100'000));
  CHECK(parse_time("2026-11-24t08:15:00.5z") == at(1'795'508'100'500));
  CHECK(parse_time("2026-11-24T09:15:00+01:00") == at(1'795'508'100'000));
  CHECK(parse_time("2026-11-24T02:45:00.123456789-05:30") == at(1'795'508'100'123));
  CHECK(parse_time("2026-11-24 08:15:00") == at(1'795'508'100'000));
  CHECK(parse_time("2026-11-24T08:15:00.123456") == at(1'795'508'100'123));
  CHECK(parse_time("2026-11-24") == at(1'795'478'400'000));
  CHECK(parse_time("2024-02-29") == at(1'709'164'800'000));
  CHECK(parse_time("2016-12-31T23:59:60Z") == parse_time("2017-01-01"));
  CHECK(parse_time("@1795508100") == at(1'795'508'100'000));
  CHECK(parse_time("@1795508100.25") == at(1'795'508'100'250));
  CHECK(parse_time("@-1.5") == at(-1500));
}

TEST_CASE("parse_time refuses what is no time") {
  for (const char* text : {"",
                           "yesterday",
                           "2026",
                           "2026-11",
                           "2026-13-01",
                           "2026-00-01",
                           "2026-02-29",
                           "2026-04-31",
                           "2026-11-24T",
                           "2026-11-24T25:00:00Z",
                           "2026-11-24T08:60:00Z",
                           "2026-11-24T08:15:61Z",
                           "2026-11-24T08:15Z",
                           "2026-11-24T08:15:00.Z",
                           "2026-11-24T08:15:00+0100",
                           "2026-11-24T08:15:00Z ",
                           " 2026-11-24",
                           "26-11-24",
                           "2026/11/24",
                           "@",
                           "@x",
                           "@1.",
                           "@1 ",
                           "@99999999999999999999",
                           "@253402300800",
                           "2026-11-24T08:15:00+24:00"}) {
    CAPTURE(text);
    try {
      parse_time(text);
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.code() == Errc::usage);
      CHECK(std::string(e.what()).find(text) != std::string::npos);
    }
  }
}

TEST_CASE("REEF_NOW fixes the clock") {
  ::setenv("REEF_NOW", "2026-11-24T08:15:00Z", 1);
  CHECK(now() == at(1'795'508'100'000));
  ::setenv("REEF_NOW", "soon", 1);
  CHECK_THROWS_WITH_AS(now(), "environment variable REEF_NOW: 'soon' is not a time", Error);
  ::unsetenv("REEF_NOW");
  CHECK(now() > parse_time("2020-01-01"));
}

}  // namespace
}  // namespace reef
