#include "reef/tree/persona.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"

using namespace reef;
using namespace reef::tree;

namespace {

std::vector<std::string> ids_in(const std::string& yaml) { return personas(Config::parse("personas", yaml, "p.yaml")); }

}  // namespace

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

TEST_CASE("a persona is added beside what the operator wrote") {
  const std::string edited = "# ours\npersonas:\n  zoe:\n    name: Zoe  # the first\n";
  const std::string added = with_persona(edited, "alice", "2026-01-02T03:04:05Z");
  CHECK(added.starts_with(edited));
  CHECK(ids_in(added) == std::vector<std::string>{"alice", "zoe"});
  for (const char* start : {"", "# only a comment", "personas: {}\n", "personas:\n", "# c\npersonas: {}\n"}) {
    CAPTURE(start);
    CHECK(ids_in(with_persona(start, "bob", "2026-01-02T03:04:05Z")) == std::vector<std::string>{"bob"});
  }
  CHECK(ids_in(commented_file("personas")).empty());
  CHECK(ids_in(with_persona(commented_file("personas"), "bob", "2026-01-02T03:04:05Z")) ==
        std::vector<std::string>{"bob"});
}

TEST_CASE("an unknown persona is told with the nearest known one") {
  const auto config = Config::parse("personas", "personas:\n  alice:\n    name: Alice\n", "p.yaml");
  CHECK_NOTHROW(require_persona(config, "alice"));
  CHECK_THROWS_WITH_AS(require_persona(config, "alcie"), doctest::Contains("did you mean 'alice'"), Error);
  CHECK_THROWS_WITH_AS(require_persona(config, "bob"), "no persona 'bob'", Error);
}
