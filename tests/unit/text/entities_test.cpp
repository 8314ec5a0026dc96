#include "reef/text/entities.h"

#include <doctest/doctest.h>

#include <set>

using namespace reef;

namespace {

std::string names(std::string_view text, const std::set<std::string>& known = {}) {
  std::string found;
  for (const text::Name& name :
       text::find_names(text, text::words(text), [&](std::string_view n) { return known.contains(std::string(n)); }))
    found += (found.empty() ? "" : "|") + name.written;
  return found;
}

int dates(std::string_view text) { return text::count_dates(text::words(text)); }
text::Cues cues(std::string_view text) { return text::find_cues(text, text::words(text)); }

}  // namespace

TEST_CASE("names are capitalised runs within sentences") {
  CHECK(names("I met Anna Smith in New York and Anna's dog") == "Anna Smith|New York|Anna");
  CHECK(names("we read The Lord of the Rings by Tolkien") == "Lord of the Rings|Tolkien");
  CHECK(names("my PS5 and an iPhone, on Monday, in May, I think, OK") == "PS5|iPhone");
  CHECK(names("with Dr. Smith from Rio de Janeiro") == "Dr. Smith|Rio de Janeiro");
  CHECK(names("nothing of the kind").empty());
  CHECK(names("bei Zoë, Émile und Ørsted") == "Zoë|Émile|Ørsted");
}

TEST_CASE("where a sentence begins, a name must be known") {
  CHECK(names("Paris is nice. Tomorrow is fine").empty());
  CHECK(names("Paris is nice", {"paris"}) == "Paris");
  CHECK(names("Visited Paris") == "Paris");
  CHECK(names("Anna Smith came") == "Smith");
  CHECK(names("Anna Smith came", {"anna smith"}) == "Anna Smith");
  CHECK(names("Hey Mel! Thanks, Joe. Wow Sam") == "Mel|Joe|Sam");
  CHECK(names("STOP SHOUTING AT EVERYBODY IN PARIS").empty());
  CHECK(names("A Headline In The Style Of Newspapers").empty());
}

TEST_CASE("dates and times of day are counted once each") {
  CHECK(dates("on May 8, 2023 and 8 May, on the 8th of June") == 3);
  CHECK(dates("yesterday, last week, two weeks ago, a year ago, next Friday") == 5);
  CHECK(dates("at 7:30, 5pm, 5 pm and 10 o'clock on 2023-05-08 or 8/5/2023") == 6);
  CHECK(dates("in 1999, for the past few years, a couple of days") == 3);
  CHECK(dates("this summer on Mondays, at Christmas") == 3);
  CHECK(dates("in May we may march; March on") == 1);
  CHECK(dates("see you Fri or in Sept") == 2);
  CHECK(dates("I sat in the sun and wed") == 0);
  CHECK(dates("3 dogs, 12345 steps, room 101, version 2.0") == 0);
  CHECK(dates("") == 0);
}

TEST_CASE("cues: who speaks, and of what") {
  CHECK(cues("I'm here").first_person);
  CHECK(cues("that is MY book").first_person);
  CHECK(!cues("you are here").first_person);
  CHECK(cues("as you said, it rained").past);
  CHECK(cues("we used to swim").past);
  CHECK(cues("Do you remember that night?").past);
  CHECK(!cues("I will go").past);
  CHECK(cues("Good morning, all").greeting);
  CHECK(cues("thanks!").greeting);
  CHECK(!cues("the morning was good").greeting);
  CHECK(cues("Is it?").question);
  CHECK(cues("Is it?! 😀 ").question);
  CHECK(cues("(is it?)").question);
  CHECK(!cues("Is it? Yes.").question);
  CHECK(!cues("").question);
}

TEST_CASE("cues: facts of the speaker's own") {
  for (const char* fact : {"My name is Anna", "my sister was a nurse", "our dog's name: Rex", "I live in Lisbon",
                           "I really love old films", "I'm allergic to nuts", "I am a teacher",
                           "I've always hated rain", "I was born in May", "Call me Ishmael", "I have two sons",
                           "we moved, and I started a job", "my favourite city is Rome"}) {
    CAPTURE(fact);
    CHECK(cues(fact).personal);
  }
  for (const char* other : {"I love that!", "I like your hat", "I'm here", "my goodness", "you live in Lisbon",
                            "I went home", "call me later", "I hate it"}) {
    CAPTURE(other);
    CHECK(!cues(other).personal);
  }
}

TEST_CASE("cues: being asked to remember") {
  for (const char* asked :
       {"Please remember my birthday", "Remember that the code is 4711.", "remember this: no nuts", "Remember: no nuts",
        "So remember my number", "make a note of it", "I want you to remember it", "For the record, I paid",
        "Can you remember that for me?", "don't forget that we meet at five"}) {
    CAPTURE(asked);
    CHECK(cues(asked).asked);
  }
  for (const char* other : {"Do you remember this?", "Remember that time we got lost?", "Remember that trip to Rome",
                            "I remember that well", "I can't remember my number", "Did you make a note?",
                            "remember to smile", "Never forget it"}) {
    CAPTURE(other);
    CHECK(!cues(other).asked);
  }
}
