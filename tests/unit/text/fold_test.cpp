#include "reef/text/fold.h"

#include <doctest/doctest.h>

using namespace reef;
using Words = std::vector<std::string_view>;

TEST_CASE("folded texts differ in words alone") {
  CHECK(text::folded("  The\tLIGHT\r\n is  red ") == "the light is red");
  CHECK(text::folded("Stra\xC3\x9F"
                     "e") == text::folded("STRASSE"));
  CHECK(text::folded("don\xE2\x80\x99t\xC2\xA0go") == "don't go");
  CHECK(text::folded("e\xCC\x81t\xC3\xA9") == "\xC3\xA9t\xC3\xA9");
  CHECK(text::folded("\xFF") == "\xEF\xBF\xBD");
  CHECK(text::folded(" \n") == "");
  CHECK(text::folded("") == "");
}

TEST_CASE("words keep what stands inside them") {
  CHECK(text::words_of("don't pay 1,000.50, ann's 'dog'.") == Words{"don't", "pay", "1,000.50", "ann's", "dog"});
  CHECK(text::words_of("\xC3\xA9t\xC3\xA9-time") == Words{"\xC3\xA9t\xC3\xA9", "time"});
  CHECK(text::words_of("...").empty());
  CHECK(text::words_of("").empty());
}
