#include "reef/memory/search_map.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/memory/forget.h"
#include "reef/memory/schema.h"
#include "reef/memory/store.h"
#include "reef/memory/verify.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Maps : test::TreeFixture {
  test::FakeEmbedder embedder;

  void remember(memory::Store& store, const std::string& text, const std::string& speaker, std::int64_t message,
                const std::string& session = "s", bool with_vector = true) {
    std::vector<float> vector(32);
    embedder.embed_query(text, vector);
    memory::NewMemory memory;
    memory.content = text;
    memory.speaker = speaker;
    if (with_vector) memory.embedding = vector;
    memory.created_at = parse_time("2026-01-01") + std::chrono::minutes(100 - message);  // the newer id is the older
    memory.source = memory::Source{message, session, "m" + std::to_string(message)};
    io::Transaction transaction(store.database());
    store.remember(memory);
    transaction.commit();
  }
  /// Of three memories: two of one session, one without a vector.
  void remember_three() {
    memory::Store store(tree, "alice");
    store.use_embedder(embedder, 1, no_progress());
    remember(store, "zinnia yarrow aster", "Ann", 1);
    remember(store, "quartz feldspar", "Bob", 2);
    remember(store, "gneiss", "Ann", 3, "other", false);
    store.finish_run();
  }
  io::Database database() {
    io::Database opened(memory::memories_file(tree, "alice"), io::OpenMode::write);
    opened.execute("PRAGMA trusted_schema = ON");
    return opened;
  }
  static std::string text_of(const memory::SearchMap& map) {
    std::string text;
    for (std::size_t i = 0; i < map.turns.size(); ++i) {
      const session::Turn& turn = map.turns[i];
      text += fmt::format("{} {} {} {} {} {} {}\n", turn.id, turn.previous, turn.next, turn.words, turn.importance,
                          turn.speaker == 0 ? "" : map.turns.speakers()[turn.speaker - 1], map.rows[i]);
    }
    return text;
  }
  bool is_stored() {
    io::Database memories = database();
    return memory::stored_search_map(memories).has_value();
  }
  std::string fault() {
    const auto report = memory::verify(tree, {"alice"}, std::chrono::milliseconds(0), no_progress());
    return report.faults.empty() ? "none" : report.faults.front().what;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Maps, "a finished run stores the map that would be made") {
  remember_three();
  io::Database memories = database();
  const auto stored = memory::stored_search_map(memories);
  REQUIRE(stored);
  const memory::SearchMap made = memory::make_search_map(memories);
  for (const memory::SearchMap* map : {&*stored, &made}) {
    REQUIRE(map->turns.size() == 3);
    CHECK(map->rows == std::vector<std::uint32_t>{0, 1, memory::SearchMap::kNoRow});
    CHECK(map->turns[0].id == 1);
    CHECK(map->turns[0].words == 3);
    CHECK(map->turns[1].next == 0);  // said before it
    CHECK(map->turns[0].previous == 1);
    CHECK(map->turns[2].previous == session::kNoTurn);
    CHECK(map->turns.speakers()[map->turns[1].speaker - 1] == "Bob");
    CHECK(map->turns[0].speaker == map->turns[2].speaker);
    CHECK(map->turns.position_of(3) == 2);
  }
  CHECK(fault() == "none");
}

TEST_CASE_FIXTURE(Maps, "whoever changes a memory, the map that is stored counts no more") {
  remember_three();
  for (const char* change :
       {"UPDATE memories SET importance = .9 WHERE id = 2", "UPDATE memories SET content = 'one two' WHERE id = 1",
        "UPDATE memories SET speaker = 'Cid' WHERE id = 1",
        "UPDATE memories SET created_at = '2025-01-01' WHERE id = 1",
        "UPDATE memories SET source_session = 'other' WHERE id = 1",
        "UPDATE memories SET source_message = 9 WHERE id = 1",
        "REPLACE INTO memories(id, persona_id, content) VALUES (1, 'alice', 'in its place')",
        "UPDATE memories SET vector_row = NULL WHERE id = 1",
        "INSERT INTO memories(persona_id, content) VALUES ('alice', 'by hand')",
        "DELETE FROM memory_sources; DELETE FROM links; DELETE FROM memories WHERE id = 3"}) {
    CAPTURE(change);
    REQUIRE(is_stored());
    {
      io::Database memories = database();
      memories.execute(change);
      CHECK_FALSE(memory::stored_search_map(memories).has_value());
      CHECK(text_of(memory::read_search_map(memories)) == text_of(memory::make_search_map(memories)));
      CHECK(memory::store_search_map(memories, false));
      CHECK_FALSE(memory::store_search_map(memories, false));
      CHECK(text_of(*memory::stored_search_map(memories)) == text_of(memory::make_search_map(memories)));
    }
  }
  io::Database memories = database();
  memories.execute("UPDATE memories SET access_count = 5, last_accessed = '2026-02-02', recency = .5");
  CHECK(is_stored());
}

TEST_CASE_FIXTURE(Maps, "a damaged map costs a search time, and verify tells of it") {
  remember_three();
  for (const char* damage : {"UPDATE turn_map SET turns = zeroblob(48)", "UPDATE map_rows SET rows = x'00000000'",
                             "UPDATE map_rows SET rows = x'020000000100000000000000'"}) {
    CAPTURE(damage);
    {
      io::Database memories = database();
      memories.execute(damage);
    }
    CHECK(fault() != "none");
    memory::Store(tree, "alice").finish_run(true);
    CHECK(fault() == "none");
  }
  io::Database memories = database();
  memories.execute("UPDATE turn_map SET turns = zeroblob(48)");
  CHECK(memory::read_search_map(memories).rows.size() == 3);
}

TEST_CASE_FIXTURE(Maps, "who said only what is forgotten leaves the map with it") {
  remember_three();
  {
    memory::Store store(tree, "alice");
    store.database().execute(
        "DELETE FROM memory_sources WHERE memory = 2; DELETE FROM links; DELETE FROM memories WHERE id = 2");
    store.finish_run();
  }
  io::Database memories = database();
  auto speakers = memories.prepare("SELECT group_concat(name) FROM turn_speakers");
  REQUIRE(speakers.step());
  CHECK(speakers.text(0) == "Ann");
}
