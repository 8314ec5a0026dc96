#include "reef/memory/forget.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/schema.h"
#include "reef/memory/verify.h"
#include "reef/session/store.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

/// Sessions of two personas, and what alice remembers of hers.
struct Talks : test::TreeFixture {
  test::FakeEmbedder embedder;
  std::vector<std::int64_t> messages;  ///< of alice, in order

  Talks() {
    put("alice", "s1", {"the plankton key hangs behind the clock", "my boss is Ann", "hello"});
    put("alice", "s2", {"plankton glows at night", "rain again"});
    put("bob", "s3", {"bob keeps plankton in jars"});
    session::Store talks(tree);
    auto all = talks.database().prepare(
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id "
        "WHERE s.persona_id = 'alice' ORDER BY m.id");
    while (all.step()) messages.push_back(all.integer(0));
    learn({0, 1, 3});
  }

  void put(const std::string& persona, const std::string& session, const std::vector<std::string>& contents) {
    std::vector<session::NewMessage> batch;
    for (const std::string& content : contents) {
      session::NewMessage message;
      message.session = session;
      message.external_id = session + "-" + std::to_string(batch.size());
      message.role = "user";
      message.content = content;
      message.created = "2026-01-0" + std::to_string(batch.size() + 1) + " 00:00:00.000";
      batch.push_back(std::move(message));
    }
    session::PutCounts counts;
    REQUIRE(session::Store(tree).put(persona, batch, counts).empty());
  }

  /// Remembers those messages, as consolidation does.
  std::vector<memory::Outcome> learn(const std::vector<std::size_t>& wanted) {
    memory::Store store(tree, "alice");
    store.use_embedder(embedder, 1, no_progress());
    io::Database talks = session::read_conversations(tree);
    session::Archives archives;
    std::vector<memory::Outcome> outcomes;
    for (const std::size_t i : wanted) {
      const auto message = session::read_message(talks, archives, messages[i]);
      if (!message) continue;
      std::vector<float> vector(32);
      embedder.embed_query(message->content, vector);
      memory::NewMemory memory;
      memory.content = message->content;
      memory.speaker = "ann";
      memory.embedding = vector;
      memory.created_at = parse_time(message->created);
      memory.source = memory::Source{message->id, message->session, message->external_id};
      memory.entities = {{i == 0 ? "Clock" : "Night", "name"}};
      io::Transaction transaction(store.database());
      outcomes.push_back(store.remember(memory).outcome);
      transaction.commit();
    }
    store.finish_run();
    return outcomes;
  }

  memory::ForgetReport forget(memory::ForgetOptions options) { return memory::forget(tree, "alice", options); }
  std::vector<std::string> faults() {
    std::vector<std::string> found;
    for (const auto& fault : memory::verify(tree, {"alice", "bob"}, {}, no_progress()).faults)
      found.push_back(fault.file + ": " + fault.what);
    return found;
  }
  /// Files of the tree that hold that word.
  std::vector<std::string> holding(const std::string& word) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tree.root()))
      if (entry.is_regular_file() && io::read_file(entry.path()).find(word) != std::string::npos)
        found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string cell(const std::string& sql) {
    io::Database memories = memory::read_memories(tree, "alice");
    auto select = memories.prepare(sql);
    return select.step() ? std::string(select.text(0)) : "no row";
  }
};

}  // namespace

TEST_CASE_FIXTURE(Talks, "what is forgotten is in no file, and is not learned again") {
  CHECK(faults().empty());
  CHECK(holding("hangs behind") == std::vector<std::string>{"conversations.sqlite", "memories.sqlite"});
  memory::ForgetOptions options;
  options.ids = {1};
  const auto plan = memory::plan_forget(tree, "alice", options);
  CHECK(plan.dry_run);
  CHECK(plan.memories.front().content == "the plankton key hangs behind the clock");
  CHECK(cell("SELECT count(*) FROM memories") == "3");

  const auto report = forget(options);
  CHECK(report.words_purged);
  CHECK(report.messages == std::vector<std::int64_t>{messages[0]});
  CHECK(holding("hangs behind") == std::vector<std::string>{"conversations.sqlite"});
  CHECK(cell("SELECT count(*) FROM entities") == "1");
  CHECK(cell("SELECT count(*) FROM links WHERE memory = 1 OR other = 1") == "0");
  CHECK(faults().empty());
  CHECK(vector::NpyMatrix(memory::embeddings_file(tree.memories("alice"))).row(0)[0] == 0);
  CHECK(learn({0, 1}) == std::vector{memory::Outcome::forgotten, memory::Outcome::merged});
  CHECK_THROWS_WITH_AS(forget(options), doctest::Contains("no memory M1"), Error);
}

TEST_CASE_FIXTURE(Talks, "with its source nothing of it is left, but for what is another persona's") {
  memory::ForgetOptions options;
  options.matching = "PLANKTON";
  options.with_source = true;
  std::vector<std::int64_t> purged;
  options.purge = [&](std::span<const std::int64_t> ids) { purged.assign(ids.begin(), ids.end()); };
  const auto report = forget(options);
  CHECK(report.memories.size() == 2);
  CHECK(report.sessions.size() == 2);
  CHECK(report.sessions[0].messages == 1);
  CHECK(report.sessions[0].of == 3);
  CHECK(purged == std::vector<std::int64_t>{messages[0], messages[3]});
  CHECK(holding("hangs behind").empty());
  CHECK(holding("glows").empty());
  CHECK(holding("plankton") == std::vector<std::string>{"conversations.sqlite"});
  CHECK(holding("in jars") == std::vector<std::string>{"conversations.sqlite"});  // bob's
  CHECK(cell("SELECT content FROM memories") == "my boss is Ann");
  CHECK(faults().empty());
  // The same conversation comes again: its messages have new numbers.
  put("alice", "s1", {"the plankton key hangs behind the clock"});
  messages[0] = 0;
  io::Database talks = session::read_conversations(tree);
  auto last = talks.prepare("SELECT max(id) FROM messages");
  last.step();
  messages[0] = last.integer(0);
  CHECK(learn({0}) == std::vector{memory::Outcome::forgotten});
  CHECK(forget(options).memories.empty());
}

TEST_CASE_FIXTURE(Talks, "a session is forgotten whole, also what nobody remembered of it") {
  memory::ForgetOptions options;
  options.session = "s1";
  auto report = forget(options);
  CHECK(report.memories.size() == 2);
  CHECK(report.messages.size() == 3);
  CHECK(learn({2}) == std::vector{memory::Outcome::forgotten});
  CHECK(learn({4}) == std::vector{memory::Outcome::added});
  options.with_source = true;
  report = forget(options);
  CHECK(report.memories.empty());
  CHECK(report.messages.size() == 3);
  io::Database talks = session::read_conversations(tree);
  CHECK_FALSE(session::find_session(talks, "s1").has_value());
  CHECK(session::find_session(talks, "s2")->messages == 2);
  // Of another persona there is nothing to forget.
  options.session = "s3";
  CHECK(forget(options).is_empty());
  CHECK(session::find_session(talks, "s3")->messages == 1);
}

TEST_CASE_FIXTURE(Talks, "the older value of an attribute is valid again when the newer one is forgotten") {
  put("alice", "s4", {"my boss is Ben"});
  {
    io::Database talks = session::read_conversations(tree);
    auto last = talks.prepare("SELECT max(id) FROM messages");
    last.step();
    messages.push_back(last.integer(0));
    talks = {};
    session::Store(tree).database().execute("UPDATE messages SET created_at = '2026-05-01' WHERE content LIKE '%Ben'");
  }
  CHECK(learn({5}) == std::vector{memory::Outcome::updated});
  CHECK(cell("SELECT superseded_by FROM memories WHERE content LIKE '%Ann'") == "4");
  memory::ForgetOptions options;
  options.ids = {4};
  forget(options);
  CHECK(cell("SELECT superseded_by IS NULL AND valid_to IS NULL FROM memories WHERE content LIKE '%Ann'") == "1");
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Talks, "the words of a message that stays said by somebody else are not forbidden") {
  {
    memory::Store store(tree, "alice");
    io::Transaction transaction(store.database());
    memory::NewMemory memory;
    memory.content = "my boss is Ann";
    memory.speaker = "bea";
    store.remember(memory);
    transaction.commit();
    store.finish_run();
  }
  memory::ForgetOptions options;
  options.ids = {2};
  forget(options);
  CHECK(cell("SELECT count(*) FROM memories WHERE content = 'my boss is Ann'") == "1");
  CHECK(faults().empty());
  CHECK(learn({1}) == std::vector{memory::Outcome::forgotten});
}

TEST_CASE_FIXTURE(Talks, "a reader that keeps the log is told of, and the next run purges") {
  memory::ForgetOptions options;
  options.ids = {1, 9};
  {
    io::Database reader = memory::read_memories(tree, "alice");
    const io::Transaction reading(reader, io::Transaction::Kind::read);
    const auto report = forget(options);
    CHECK(report.memories.size() == 1);
    CHECK(report.not_found == std::vector<std::int64_t>{9});
    CHECK_FALSE(report.words_purged);
    CHECK(faults().size() == 1);
  }
  memory::Store(tree, "alice").finish_run();
  CHECK(faults().empty());
  CHECK(holding("hangs behind") == std::vector<std::string>{"conversations.sqlite"});
}

TEST_CASE_FIXTURE(Talks, "what to forget has to be named") {
  CHECK_THROWS_AS(forget({}), Error);
  memory::ForgetOptions options;
  options.matching = " \n";
  CHECK_THROWS_WITH_AS(forget(options), doctest::Contains("--matching is empty"), Error);
  options.ids = {1};
  CHECK_THROWS_AS(forget(options), Error);
  options.matching.reset();
  CHECK_THROWS_WITH_AS(memory::forget(tree, "bob", options), doctest::Contains("no memories"), Error);
  CHECK_FALSE(std::filesystem::exists(tree.memories("bob") / "memories.sqlite"));
}

TEST_CASE_FIXTURE(Talks, "verify finds what does not belong together") {
  const auto tamper = [&](const char* sql) {
    io::Database memories = memory::open_memories(tree, "alice");
    memories.execute("PRAGMA foreign_keys = OFF");
    memories.execute(sql);
    memories = {};
    const auto found = faults();
    REQUIRE(found.size() == 1);
    return found.front();
  };
  SUBCASE("a vector") {
    CHECK(tamper("UPDATE memories SET embedding = (SELECT embedding FROM memories WHERE id = 2) WHERE id = 1") ==
          "embeddings.npy: 1 rows are not those of the database");
  }
  SUBCASE("a hash") {
    CHECK(tamper("UPDATE memories SET content_hash = 'x' WHERE id = 1").find("hashes") != std::string::npos);
  }
  SUBCASE("what was forgotten") {
    CHECK(tamper("INSERT INTO tombstones(message, forgotten_at) SELECT source_message, '' FROM memories WHERE id = 1")
              .find("forgotten") != std::string::npos);
  }
  SUBCASE("an entity of nobody") {
    CHECK(tamper("INSERT INTO entities(name, kind) VALUES ('X', 'name')").find("entities") != std::string::npos);
  }
  SUBCASE("another persona's") {
    CHECK(tamper("UPDATE memories SET persona_id = 'bob' WHERE id = 1").find("another persona") != std::string::npos);
  }
  SUBCASE("a link to nothing") {
    CHECK(tamper("INSERT INTO memory_sources VALUES (99, 1, 's', NULL, NULL, '')").find("refer") != std::string::npos);
  }
  SUBCASE("an export") {
    io::replace_file(tree.memories("alice") / "relationships.json", "{}");
    CHECK(faults() == std::vector<std::string>{"relationships.json: it does not say what the database does"});
    memory::Store(tree, "alice").finish_run();
    CHECK(faults().empty());
  }
}
