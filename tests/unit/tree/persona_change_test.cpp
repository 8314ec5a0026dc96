#include "reef/tree/persona_change.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/persona_edit.h"
#include "support/tree_fixture.h"

using namespace reef;
using tree::PersonaChange;

TEST_CASE_FIXTURE(test::TreeFixture, "a change is remembered until it is ended") {
  CHECK(!tree::pending_change(tree));
  tree::end_change(tree);
  for (const auto kind : {PersonaChange::Kind::rename, PersonaChange::Kind::remove, PersonaChange::Kind::import}) {
    tree::begin_change(tree, {kind, "alice", kind == PersonaChange::Kind::remove ? "" : "bea", "2026-11-30T00:00:00Z"});
    const auto change = tree::pending_change(tree);
    REQUIRE(change);
    CHECK(change->kind == kind);
    CHECK(change->persona == "alice");
    CHECK(change->to == (kind == PersonaChange::Kind::remove ? "" : "bea"));
    CHECK(change->began == "2026-11-30T00:00:00Z");
  }
  tree::end_change(tree);
  CHECK(!tree::pending_change(tree));
}

TEST_CASE_FIXTURE(test::TreeFixture, "a record that is not as it was written is never acted upon") {
  tree::begin_change(tree, {PersonaChange::Kind::remove, "alice", "", "2026-11-30T00:00:00Z"});
  const std::string whole = io::read_file(tree::change_file(tree));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    io::replace_file(tree::change_file(tree), damaged);
    CHECK_THROWS_AS(tree::pending_change(tree), Error);
    io::replace_file(tree::change_file(tree), whole.substr(0, at));
    CHECK_THROWS_AS(tree::pending_change(tree), Error);
  }
}

TEST_CASE_FIXTURE(test::TreeFixture, "sections of personas.yaml are renamed, removed and added once") {
  CHECK(tree::rename_persona(tree, "alice", "bea", {}));
  CHECK(!tree::rename_persona(tree, "alice", "bea", {}));
  auto section = tree::persona_section(tree, "bea");
  CHECK(section.name == "bea");
  section.adapters = {"one", "two"};
  section.base = "some/base";
  section.name = "Bea";
  CHECK(tree::remove_persona(tree, "bea", {}));
  CHECK(!tree::remove_persona(tree, "bea", {}));
  CHECK_THROWS_AS(tree::persona_section(tree, "bea"), Error);
  tree::require_addable(tree, "carol", section);
  CHECK(tree::add_persona(tree, "carol", section, {}));
  CHECK(!tree::add_persona(tree, "carol", section, {}));
  const auto added = tree::persona_section(tree, "carol");
  CHECK(added.name == "Bea");
  CHECK(added.base == "some/base");
  CHECK(added.adapters == section.adapters);
  CHECK(added.created == section.created);
}
