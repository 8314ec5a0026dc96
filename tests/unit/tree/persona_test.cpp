#include "reef/tree/persona.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"

using namespace reef;
using namespace reef::tree;

TEST_CASE("an id needs no quoting as a folder, a key or an argument") {
  for (const std::string& id : {std::string("a"), std::string("alice"), std::string("0"), std::string("alice.v2"),
                                std::string("a-b_c"), std::string(64, 'x')})
    CHECK_MESSAGE(is_persona_id(id), id);
  for (const std::string& id :
       {std::string(), std::string("Alice"), std::string(".."), std::string("-a"), std::string("_a"),
        std::string("a/b"), std::string("a b"), std::string("\xc3\xa4"), std::string(65, 'x'), std::string("a\0b", 3)})
    CHECK_MESSAGE(!is_persona_id(id), id);
  CHECK_THROWS_WITH_AS(require_persona_id("../x"), doctest::Contains("no persona id"), Error);
}

TEST_CASE("an unknown persona is told with the nearest known one") {
  const auto config = Config::parse("personas", "personas:\n  alice:\n    name: Alice\n", "p.yaml");
  CHECK_NOTHROW(require_persona(config, "alice"));
  CHECK_THROWS_WITH_AS(require_persona(config, "alcie"), doctest::Contains("did you mean 'alice'"), Error);
  CHECK_THROWS_WITH_AS(require_persona(config, "bob"), "no persona 'bob'", Error);
}
