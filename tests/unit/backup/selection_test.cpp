#include <doctest/doctest.h>

#include "reef/backup/snapshot_store.h"

using reef::backup::Selection;

TEST_CASE("a selection covers its paths and what lies below them, and not their namesakes") {
  const Selection selection{{"config", "data/memories/alice"}};
  CHECK(selection.covers("config"));
  CHECK(selection.covers("config/system.yaml"));
  CHECK_FALSE(selection.covers("configuration"));
  CHECK_FALSE(selection.covers("data/memories"));
  CHECK(selection.covers("data/memories/alice/memories.sqlite"));
  CHECK_FALSE(selection.covers("data/memories/alice2/memories.sqlite"));
}

TEST_CASE("a selection of nothing, and one of the tree itself, covers all") {
  CHECK(Selection{}.covers("config/system.yaml"));
  CHECK(Selection{{""}}.covers("config/system.yaml"));
}
