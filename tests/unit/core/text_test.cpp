#include "reef/core/text.h"

#include <doctest/doctest.h>

#include <array>

namespace reef {
namespace {

constexpr const char* kMark = "\xEF\xBF\xBD";

TEST_CASE("nearest finds what was meant") {
  const std::vector<std::string> verbs = {"build", "query", "verify", "show"};
  CHECK(nearest("qurey", verbs) == "query");
  CHECK(nearest("buidl", verbs) == "build");
  CHECK(nearest("verifyy", verbs) == "verify");
  CHECK(nearest("query", verbs) == "query");
  CHECK_FALSE(nearest("delete", verbs));
  CHECK_FALSE(nearest("", verbs));
  CHECK_FALSE(nearest("x", {}));
  const std::vector<std::string> shorts = {"-k", "-q"};
  CHECK_FALSE(nearest("-x", shorts));  // every short option would be one letter away
}

TEST_CASE("hexadecimal there and back") {
  const std::array<std::uint8_t, 4> bytes = {0x00, 0x9f, 0x2c, 0xff};
  CHECK(to_hex(bytes) == "009f2cff");
  CHECK(from_hex("009F2cff") == std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  CHECK(from_hex("") == std::vector<std::uint8_t>{});
  CHECK_FALSE(from_hex("0"));
  CHECK_FALSE(from_hex("0g"));
  CHECK_FALSE(from_hex("+1"));
}

TEST_CASE("well-formed text stays as it is") {
  for (const char* text : {"", "plain", "Grüße, 世界 🐚", "a\xC2\x80", "\xF4\x8F\xBF\xBF", "\xEF\xBF\xBF",
                           "a long line of ASCII before é and after it"}) {
    CAPTURE(text);
    CHECK(is_valid_utf8(text));
    CHECK(to_valid_utf8(text) == text);
  }
}

TEST_CASE("where text stops being well-formed is told") {
  CHECK(valid_utf8_prefix("") == 0);
  CHECK(valid_utf8_prefix("é and ASCII") == 12);
  CHECK(valid_utf8_prefix("é and \xFF") == 7);
  CHECK(valid_utf8_prefix("a long line of ASCII, é and \xE4\xB8x") == 29);
  CHECK(valid_utf8_prefix("\xED\xA0\x80") == 0);
}

TEST_CASE("ill-formed text is replaced by maximal subparts, as Python does") {
  const auto replaced = [](std::string_view bytes) {
    CHECK_FALSE(is_valid_utf8(bytes));
    const std::string text = to_valid_utf8(bytes);
    CHECK(is_valid_utf8(text));
    return text;
  };
  const std::string mark = kMark;
  CHECK(replaced("\x80") == mark);
  CHECK(replaced("a\xFFz") == "a" + mark + "z");
  CHECK(replaced("\xC0\xAF") == mark + mark);  // overlong
  CHECK(replaced("\xE0\x80\xAF") == mark + mark + mark);
  CHECK(replaced("\xED\xA0\x80") == mark + mark + mark);  // a surrogate
  CHECK(replaced("\xF4\x90\x80\x80") == mark + mark + mark + mark);
  CHECK(replaced("\xE4\xB8") == mark);  // cut short: one subpart
  CHECK(replaced("\xF0\x9F\x90") == mark);
  CHECK(replaced("\xE4\xB8x") == mark + "x");
  // The example of The Unicode Standard, table 3-8.
  CHECK(replaced("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64") ==
        "a" + mark + mark + mark + "b" + mark + "c" + mark + mark + "d");
}

}  // namespace
}  // namespace reef
