#include "reef/memory/statement.h"

#include <doctest/doctest.h>

using namespace reef;

TEST_CASE("of somebody only another name takes the place of a name, and a home or employer is named") {
  const auto slot = [](const char* text) {
    const auto attribute = memory::read_statement(text, "ann").attribute;
    return attribute ? attribute->slot : 0;
  };
  CHECK(slot("My sister is Anna") != 0);
  CHECK(slot("My sister is Anna") == slot("my sister is called Eva."));
  CHECK(memory::read_statement("My sister is Anna", "ann").attribute->value ==
        memory::read_statement("My sister is called Anna", "ann").attribute->value);
  CHECK(slot("My kids are Tom and Eva") != 0);
  for (const char* text : {"My sister is tall", "My sister is Spanish", "My cat is hungry", "My parents are in Lisbon",
                           "My dog is Anna's", "My sister Anna is tall", "MY SISTER IS TALL"})
    CHECK(slot(text) == 0);
  CHECK(slot("My PIN is 1234") == slot("My PIN is 4321"));
  for (const char* text : {"I live in hope", "I moved to the next question", "I moved to the place I like",
                           "I work for free", "I weigh the options", "I am called away"})
    CHECK(slot(text) == 0);
  CHECK(slot("I work for Acme") == slot("I work at the Harbour Museum"));
  CHECK(slot("I weigh 70 kilos") == slot("I weigh eighty kilos"));
}
