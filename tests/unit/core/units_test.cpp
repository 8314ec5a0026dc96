#include "reef/core/units.h"

#include <doctest/doctest.h>

#include <string>

#include "reef/core/error.h"

namespace reef {
namespace {

using std::chrono::milliseconds;

Errc code_of_size(const char* text) {
  try {
    parse_size(text);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find(text) != std::string::npos);
    CHECK_FALSE(e.hint().empty());
    return e.code();
  }
  return Errc::failed;
}

TEST_CASE("parse_size tells 1024 from 1000") {
  CHECK(parse_size("64MiB") == 64ULL << 20);
  CHECK(parse_size("64MB") == 64'000'000);
  CHECK(parse_size("64") == 64);
  CHECK(parse_size("64B") == 64);
  CHECK(parse_size("1.5GiB") == 3ULL << 29);
  CHECK(parse_size("0.1KB") == 100);
  CHECK(parse_size("3 TiB") == 3ULL << 40);
  CHECK(parse_size("2kb") == 2000);
  CHECK(parse_size("15.999EiB") < UINT64_MAX);
  CHECK(parse_size("18446744073709551615") == UINT64_MAX);
}

TEST_CASE("parse_size refuses what is no size") {
  for (const char* text : {"-3", "", "MiB", "64M", "1.5", "1.5B", "1.GiB", ".5GiB", "0x10", "64 ", " 64", "64MiBs",
                           "1e3", "64iB", "18446744073709551616", "16EiB", "99999999999999999999GiB", "1..5MiB"}) {
    CAPTURE(text);
    CHECK(code_of_size(text) == Errc::usage);
  }
}

TEST_CASE("format_size shows three digits") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(912) == "912 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1024) == "1.00 KiB");
  CHECK(format_size(3ULL << 29) == "1.50 GiB");
  CHECK(format_size(10'235) == "10.0 KiB");
  CHECK(format_size(100ULL << 10) == "100 KiB");
  CHECK(format_size((1ULL << 20) - 1) == "1.00 MiB");
  CHECK(format_size(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("a formatted size is read back within its rounding") {
  for (std::uint64_t bytes = 1; bytes < 1ULL << 60; bytes = bytes * 7 + 13) {
    const double back = static_cast<double>(parse_size(format_size(bytes)));
    CHECK(back == doctest::Approx(static_cast<double>(bytes)).epsilon(0.006));
  }
}

TEST_CASE("durations") {
  CHECK(parse_duration("90s") == milliseconds(90'000));
  CHECK(parse_duration("90") == milliseconds(90'000));
  CHECK(parse_duration("10m") == milliseconds(600'000));
  CHECK(parse_duration("2h") == milliseconds(7'200'000));
  CHECK(parse_duration("365d") == milliseconds(365LL * 86'400'000));
  CHECK(parse_duration("1.5h") == milliseconds(5'400'000));
  CHECK(parse_duration("250ms") == milliseconds(250));
  for (const char* text : {"", "-1s", "10 minutes", "1y", "s", "1h30m", "365251d", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration(text), Error);
  }
  CHECK(format_duration(milliseconds(850)) == "850 ms");
  CHECK(format_duration(milliseconds(12'300)) == "12.3 s");
  CHECK(format_duration(milliseconds(59'949)) == "59.9 s");
  CHECK(format_duration(milliseconds(59'950)) == "1 min 0 s");
  CHECK(format_duration(milliseconds(250'000)) == "4 min 10 s");
  CHECK(format_duration(milliseconds(3'599'600)) == "1 h 0 min");
  CHECK(format_duration(milliseconds(7'500'000)) == "2 h 5 min");
  CHECK(format_duration(milliseconds(90'000'000)) == "1 d 1 h");
  CHECK(format_duration(milliseconds(-850)) == "-850 ms");
}

TEST_CASE("counts") {
  CHECK(format_count(0) == "0");
  CHECK(format_count(999) == "999");
  CHECK(format_count(5183) == "5,183");
  CHECK(format_count(1'000'000) == "1,000,000");
  CHECK(counted(1, "file") == "1 file");
  CHECK(counted(0, "file") == "0 files");
  CHECK(counted(2000, "memory", "memories") == "2,000 memories");
  CHECK(parse_count("0", "--budget") == 0);
  CHECK(parse_count("010", "--budget") == 10);  // never octal
  CHECK(parse_count("18446744073709551615", "-k") == UINT64_MAX);
  for (const char* text : {"", "-3", "+3", "1.5", "0x10", "10 ", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(parse_count(text, "--budget"), doctest::Contains("--budget: "), Error);
  }
}

}  // namespace
}  // namespace reef
