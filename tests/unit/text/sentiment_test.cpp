#include "reef/text/sentiment.h"

#include <doctest/doctest.h>

#include <cmath>

#include "reef/text/internal/vader_data.h"

using namespace reef;

TEST_CASE("sentiment is what vaderSentiment 3.3.2 says") {
  const std::pair<const char*, double> cases[] = {
      {"VADER is smart, handsome, and funny.", .8316},
      {"VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!", .9469},
      {"VADER is not smart, handsome, nor funny.", -.7424},
      {"The plot was good, but the characters are uncompelling and the dialog is not great.", -.7042},
      {"Today only kinda sux! But I'll get by, lol", .5249},
      {"Catch utf-8 emoji such as 💘 and 💋 and 😁", .8750},
      {"At least it isn't a horrible book.", .4310},
      {"that movie was to die for", -.5994},
      {"Not such a badass after all.", -.2584},
      {"Make sure you :) or :D today!", .8633},
      {"no problem", .3089},
      {"without a doubt, an excellent idea", .7013},
      {"Is it good??? or bad????", -.3736},
      {"The table stands in the kitchen.", 0},
      {" ", 0},
      {"", 0}};
  for (const auto& [text, compound] : cases) {
    CAPTURE(text);
    CHECK(std::abs(text::sentiment(text) - compound) < 1e-4);
  }
}

TEST_CASE("sentiment of what is no UTF-8 is that of the rest") {
  CHECK(text::sentiment("good \xFF\xC3") == doctest::Approx(text::sentiment("good")));
  CHECK(text::sentiment("\xFF") == 0);
}

TEST_CASE("every place of the lexicon is found") {
  using text::internal::vader_rating;
  CHECK(vader_rating("$:") == -1.5);  // the first line
  CHECK(vader_rating("}:-)") == .3);
  CHECK(vader_rating("good") == 1.9);
  CHECK(!vader_rating("goo"));
  CHECK(!vader_rating(""));
  CHECK(!vader_rating("zzzq"));
  CHECK(!vader_rating("\xFF"));
  CHECK(text::internal::emoji_description("😀") == "grinning face");
  CHECK(text::internal::emoji_description("x").empty());
}
