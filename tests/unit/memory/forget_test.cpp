#include "reef/memory/forget.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/remember.h"
#include "reef/memory/schema.h"
#include "reef/memory/verify.h"
#include "reef/session/index.h"
#include "reef/session/store.h"
#include "reef/session/turn_store.h"
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

  void put(const std::string& persona, const std::string& session, const std::vector<std::string>& contents,
           const std::string& month = "2026-01", const std::string& metadata = "") {
    std::vector<session::NewMessage> batch;
    for (const std::string& content : contents) {
      session::NewMessage message;
      message.session = session;
      message.external_id = session + "-" + std::to_string(batch.size());
      message.role = "user";
      message.content = content;
      message.created = month + "-0" + std::to_string(batch.size() + 1) + " 00:00:00.000";
      message.metadata = metadata;
      batch.push_back(std::move(message));
    }
    session::PutCounts counts;
    REQUIRE(session::Store(tree).put(persona, batch, counts).empty());
  }

  /// The number of the message that was added last.
  std::int64_t last() {
    io::Database talks = session::read_conversations(tree);
    auto find = talks.prepare("SELECT max(id) FROM messages");
    find.step();
    return find.integer(0);
  }
  void remove_conversations() {
    for (const char* end : {"", "-wal", "-shm"})
      std::filesystem::remove(session::conversations_file(tree).string() + end);
  }
  std::uint64_t messages_in(const std::string& session) {
    io::Database talks = session::read_conversations(tree);
    const auto row = session::find_session(talks, session);
    return row ? row->messages : 0;
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
  const auto report = forget(options);
  CHECK(report.memories.size() == 2);
  CHECK(report.sessions.size() == 2);
  CHECK(report.sessions[0].messages == 1);
  CHECK(report.sessions[0].of == 3);
  CHECK(report.messages == std::vector<std::int64_t>{messages[0], messages[3]});
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
  CHECK_THROWS_WITH_AS(forget(options), "persona 'alice' has no session 's3'", Error);
  CHECK(session::find_session(talks, "s3")->messages == 1);
  options.session = "nope";
  CHECK_THROWS_AS(forget(options), Error);
  options.session = "s1";  // which decisions or sources know no longer, and nobody else
  CHECK_THROWS_AS(forget(options), Error);
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
  // Nor is it learned of the same speaker from a copy.
  put("alice", "copy-s1", {"my boss is Ann"});
  messages[1] = last();
  CHECK(learn({1}) == std::vector{memory::Outcome::forgotten});
}

TEST_CASE_FIXTURE(Talks, "what comes while messages are removed stays, with its session") {
  memory::ForgetOptions options;
  options.session = "s2";
  options.with_source = true;
  {
    const io::LockFile other(tree.conversations() / ".lock");  // somebody else removes sessions
    const auto report = forget(options);
    CHECK_FALSE(report.words_purged);
    CHECK(report.not_purged.find("still") != std::string::npos);
    CHECK(messages_in("s2") == 0);
    CHECK_FALSE(faults().empty());
  }
  put("alice", "s2", {"keep me"});
  CHECK(memory::Store(tree, "alice").finish_run().words_purged);
  CHECK(messages_in("s2") == 1);
  CHECK(holding("glows").empty());
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Talks, "a number that is another message's by now leads nowhere") {
  remove_conversations();
  put("alice", "s1", {"a stranger", "and a second one", "a third"}, "2026-02");
  put("alice", "s2", {"of another time", "plankton glows at night"}, "2026-02");
  memory::ForgetOptions options;
  options.ids = {1, 3};
  options.with_source = true;
  const auto report = forget(options);
  CHECK(report.memories.size() == 2);
  CHECK(messages_in("s1") == 3);
  CHECK(messages_in("s2") == 2);
  CHECK(holding("hangs behind").empty());
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Talks, "a message that is the same by its id is found whatever its number") {
  remove_conversations();
  put("alice", "s9", {"one", "two"});
  put("alice", "s1", {"the plankton key hangs behind the clock"});
  memory::ForgetOptions options;
  options.ids = {1};
  options.with_source = true;
  CHECK(forget(options).messages == std::vector<std::int64_t>{3});
  CHECK(messages_in("s1") == 0);
  CHECK(messages_in("s9") == 2);
  CHECK(holding("hangs behind").empty());
}

TEST_CASE_FIXTURE(Talks, "what a message is found by takes the memory that it said along") {
  memory::ForgetOptions options;
  SUBCASE("its text was changed since") {
    session::Store(tree).database().execute("UPDATE messages SET content = 'a zebra' WHERE content LIKE 'my boss%'");
    options.matching = "zebra";
    CHECK(forget(options).memories.size() == 1);
    CHECK(cell("SELECT count(*) FROM memories WHERE id = 2") == "0");
  }
  SUBCASE("others said it as well") {
    put("alice", "s5", {"plankton glows at night"}, "2026-01", R"({"by":"zebra"})");
    messages.push_back(last());
    CHECK(learn({5}) == std::vector{memory::Outcome::merged});
    options.matching = "zebra";
    const auto report = forget(options);
    CHECK(report.memories.empty());
    CHECK(report.messages == std::vector<std::int64_t>{messages[5]});
    CHECK(cell("SELECT group_concat(message) FROM memory_sources WHERE memory = 3") == std::to_string(messages[3]));
    CHECK(learn({5}) == std::vector{memory::Outcome::forgotten});
  }
  SUBCASE("who said it, and tags") {
    session::Store(tree).database().execute("UPDATE messages SET speaker = 'Zebra Z' WHERE content = 'hello'");
    io::Database memories = memory::open_memories(tree, "alice");
    memories.execute(R"(UPDATE memories SET tags = '["of the zebra"]' WHERE id = 2)");
    memories.execute("UPDATE memories SET speaker = 'zebra' WHERE id = 3");
    memories = {};
    options.matching = "zebra";
    const auto report = forget(options);
    CHECK(report.memories.size() == 2);
    CHECK(std::count(report.messages.begin(), report.messages.end(), messages[2]) == 1);
    options.matching = "user";  // a role is nobody's name
    CHECK(forget(options).is_empty());
  }
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Talks, "what was forgotten leaves the vectors of turns without a model") {
  session::IndexOptions indexing;
  indexing.persona = "alice";
  session::index_turns(tree, indexing, embedder, no_progress());
  memory::ForgetOptions options;
  options.ids = {1};
  options.with_source = true;
  CHECK(forget(options).words_purged);
  {
    session::TurnReader turns(tree, "alice");
    CHECK(turns.map().size() == 3);  // without it, and without the one behind it
    CHECK_FALSE(turns.map().position_of(messages[0]).has_value());
    CHECK_FALSE(turns.map().position_of(messages[1]).has_value());
    auto dead = turns.database().prepare("SELECT 1 FROM dead_rows");
    CHECK_FALSE(dead.step());
  }
  CHECK(session::pending_turns(tree, "alice") == 1);
  CHECK(session::verify_turns(tree, "alice", {}).empty());
  CHECK(session::index_turns(tree, indexing, embedder, no_progress()).pending == 0);
  CHECK(session::TurnReader(tree, "alice").map().position_of(messages[1]).has_value());

  // Held by a run that indexes: it is due still, and done by the next run.
  options.ids = {3};
  {
    const io::LockFile other(tree.turns("alice") / ".lock");
    CHECK_FALSE(forget(options).words_purged);
  }
  memory::Store(tree, "alice").finish_run();
  CHECK_FALSE(session::TurnReader(tree, "alice").map().position_of(messages[3]).has_value());
  CHECK(faults().empty());
}

TEST_CASE_FIXTURE(Talks, "damaged vectors of turns keep nothing else from being forgotten") {
  session::IndexOptions indexing;
  indexing.persona = "alice";
  session::index_turns(tree, indexing, embedder, no_progress());
  io::replace_file(tree.turns("alice") / "metadata.sqlite", std::string(20'000, 'x'));
  memory::ForgetOptions options;
  options.ids = {1};
  options.with_source = true;
  const auto report = forget(options);
  CHECK(report.memories.size() == 1);
  CHECK(report.not_purged.find("reef-session index") != std::string::npos);
  CHECK(messages_in("s1") == 2);
}

TEST_CASE_FIXTURE(Talks, "what was not shown is not forgotten") {
  memory::ForgetOptions options;
  options.matching = "plankton";
  const auto plan = memory::plan_forget(tree, "alice", options);
  options.agreed = &plan;
  put("alice", "s6", {"more plankton"});
  CHECK_THROWS_WITH_AS(forget(options), doctest::Contains("not what was shown"), Error);
  CHECK(cell("SELECT count(*) FROM memories") == "3");
  const auto again = memory::plan_forget(tree, "alice", options);
  options.agreed = &again;
  CHECK(forget(options).memories.size() == 2);
}

TEST_CASE_FIXTURE(Talks, "what nothing was learned from can be forgotten before it is") {
  memory::ForgetOptions options;
  options.matching = "nothing holds this";
  CHECK_THROWS_WITH_AS(memory::forget(tree, "bob", options), doctest::Contains("no memories"), Error);
  CHECK_FALSE(std::filesystem::exists(tree.memories("bob") / "memories.sqlite"));
  options.matching = "plankton";
  CHECK(memory::plan_forget(tree, "bob", options).messages.size() == 1);
  CHECK_FALSE(std::filesystem::exists(tree.memories("bob") / "memories.sqlite"));
  CHECK(memory::forget(tree, "bob", options).messages.size() == 1);
  CHECK(memory::Store(tree, "bob").is_forgotten({}, "", "bob keeps plankton in jars"));
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
          "embeddings.npy: rows that are not those of the database: 1");
  }
  SUBCASE("a hash") {
    CHECK(tamper("UPDATE memories SET content_hash = 'x' WHERE id = 1").find("hashes") != std::string::npos);
  }
  SUBCASE("what was forgotten") {
    CHECK(tamper("INSERT INTO tombstones(message, forgotten_at) SELECT source_message, '' FROM memories WHERE id = 1")
              .find("forgotten: M1") != std::string::npos);
  }
  SUBCASE("an entity of nobody") {
    CHECK(tamper("INSERT INTO entities(name, kind) VALUES ('X', 'name')").find("entities") != std::string::npos);
    memory::export_memories(tree, "alice", {}, nullptr, no_progress());
    CHECK(faults().empty());
  }
  SUBCASE("a full text that lacks a word") {
    CHECK(tamper("INSERT INTO memories_fts(memories_fts, rowid, content) VALUES ('delete', 2, 'my boss is Ann')")
              .find("full text") != std::string::npos);
    memory::export_memories(tree, "alice", {}, nullptr, no_progress());
    CHECK(faults().empty());
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
