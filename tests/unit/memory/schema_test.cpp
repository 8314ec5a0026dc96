#include "reef/memory/schema.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "support/tree_fixture.h"

using namespace reef;

TEST_CASE_FIXTURE(test::TreeFixture, "the full text of memories follows whoever writes") {
  io::Database database = memory::open_memories(tree, "alice");
  database.execute("INSERT INTO memories(persona_id, content) VALUES ('alice', 'a lighthouse'), ('alice', 'a pier')");
  const auto matches = [&](const char* word) {
    auto count = database.prepare("SELECT count(*) FROM memories_fts WHERE memories_fts MATCH ?");
    count.bind(1, word).step();
    return count.integer(0);
  };
  CHECK(matches("lighthouses") == 1);
  database.execute("UPDATE memories SET content = 'a harbour' WHERE content = 'a pier'");
  database.execute("DELETE FROM memories WHERE content = 'a lighthouse'");
  CHECK(matches("lighthouse") == 0);
  CHECK(matches("pier") == 0);
  CHECK(matches("harbour") == 1);
  database.execute("INSERT INTO memories_fts(memories_fts) VALUES ('integrity-check')");
  CHECK(memory::read_memories(tree, "alice").integrity().empty());
}

TEST_CASE_FIXTURE(test::TreeFixture, "a persona without memories says how they come") {
  CHECK_THROWS_WITH_AS(memory::read_memories(tree, "bob"), doctest::Contains("no memories"), Error);
}
