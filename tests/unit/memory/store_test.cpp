#include "reef/memory/store.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "reef/core/error.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/schema.h"
#include "reef/memory/statement.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Memories : test::TreeFixture {
  test::FakeEmbedder embedder;
  std::optional<memory::Store> store;

  Memories() { open(); }
  void open() {
    store.reset();
    store.emplace(tree, "alice");
    store->use_embedder(embedder, 1, no_progress());
  }
  std::vector<float> vector_of(const std::string& text) {
    std::vector<float> vector(32);
    embedder.embed_query(text, vector);
    return vector;
  }
  memory::Remembered remember(memory::NewMemory memory) {
    const auto vector = vector_of(memory.content);
    memory.embedding = vector;
    io::Transaction transaction(store->database());
    const auto result = store->remember(memory);
    transaction.commit();
    return result;
  }
  memory::Remembered say(const std::string& content, const std::string& speaker = "ann",
                         const std::string& time = "2026-01-01", std::int64_t message = 0) {
    memory::NewMemory memory;
    memory.content = content;
    memory.speaker = speaker;
    memory.created_at = parse_time(time);
    if (message > 0) memory.source = memory::Source{message, "s1", "m" + std::to_string(message)};
    return remember(memory);
  }
  std::string cell(const std::string& sql) {
    auto select = store->database().prepare(sql);
    return select.step() ? std::string(select.text(0)) : "no row";
  }
};

}  // namespace

using memory::Outcome;

TEST_CASE_FIXTURE(Memories, "what says the same is merged, and its sources are kept") {
  const auto first = say("The harbour light is red.", "ann", "2026-01-02", 1);
  CHECK(first.outcome == Outcome::added);
  memory::NewMemory again;
  again.content = "  the HARBOUR light   is red. ";
  again.speaker = "bob";  // says neither I nor you: the same whoever says it
  again.created_at = parse_time("2026-01-01");
  again.importance = .9;
  again.source = memory::Source{2, "s2", ""};
  again.tags = {"port"};
  const auto merged = remember(again);
  CHECK(merged.outcome == Outcome::merged);
  CHECK(merged.id == first.id);
  CHECK(cell("SELECT group_concat(message) FROM memory_sources") == "1,2");
  CHECK(cell("SELECT importance FROM memories") == "0.9");
  CHECK(cell("SELECT tags FROM memories") == R"(["port"])");
  CHECK(cell("SELECT created_at FROM memories") == "2026-01-01 00:00:00.000");
}

TEST_CASE_FIXTURE(Memories, "speakers who speak of themselves are told apart") {
  CHECK(say("I like tea", "ann").outcome == Outcome::added);
  CHECK(say("I like tea", "bob").outcome == Outcome::added);
  CHECK(say("I like tea", "ann").outcome == Outcome::merged);
}

TEST_CASE_FIXTURE(Memories, "near vectors alone make nothing the same") {
  // The embedder hashes words alone: order and punctuation make no difference to it.
  const std::string text = "We meet the pilot at the pier with the lantern and the rope and the old brown dog";
  const auto first = say(text);
  CHECK(say("With the lantern and the rope and the old brown dog we meet the pilot at the pier").id == first.id);
  CHECK(say("We never meet the pilot at the pier with the lantern and the rope and the old brown dog the").outcome ==
        Outcome::added);
  std::string many = "the the the the the the the the the the the the the the rope ";
  CHECK(say(many + "costs 15 crowns").outcome == Outcome::added);
  CHECK(say(many + "costs 16 crowns").outcome == Outcome::added);
  CHECK(say(many + "costs 15 crowns!").outcome == Outcome::merged);
  memory::NewMemory named;
  named.content = many + "costs 15 crowns !";
  named.speaker = "ann";
  named.created_at = parse_time("2026-01-01");
  named.entities = {{"Oslo", "place"}};
  CHECK(remember(named).outcome == Outcome::added);
}

TEST_CASE_FIXTURE(Memories, "the newer value of an attribute wins, whichever came first") {
  const auto old = say("My phone number is 555-0100.", "ann", "2026-01-01");
  const auto newer = say("my phone number is now 555-0199", "ann", "2026-03-01");
  CHECK(newer.outcome == Outcome::updated);
  CHECK(newer.superseded == old.id);
  CHECK(cell("SELECT valid_to FROM memories WHERE id = 1") == "2026-03-01 00:00:00.000");
  CHECK(cell("SELECT superseded_by FROM memories WHERE id = 1") == std::to_string(newer.id));
  CHECK(cell("SELECT count(*) FROM memories WHERE superseded_by IS NULL") == "1");

  const auto between = say("My phone number is 555-0150", "ann", "2026-02-01");
  CHECK(between.superseded_by == newer.id);
  CHECK(cell("SELECT valid_to FROM memories WHERE id = 1") == "2026-02-01 00:00:00.000");
  CHECK(say("My phone number is 555-0177", "bob", "2026-05-01").outcome == Outcome::added);
  // As it once was: news, since it was another way in between.
  const auto again = say("My phone number is 555-0100.", "ann", "2026-06-01");
  CHECK(again.outcome == Outcome::updated);
  CHECK(again.id != old.id);
  CHECK(again.superseded == newer.id);
}

TEST_CASE("attributes are read from short statements alone") {
  const auto slot = [](const char* text) {
    const auto attribute = memory::read_statement(text, "ann").attribute;
    return attribute ? attribute->slot : 0;
  };
  CHECK(slot("My favourite colour is green") == slot("my favorite color is now blue!"));
  CHECK(slot("Hi! My new phone number is 555-0100. Talk soon") == slot("My phone number has changed to 5."));
  CHECK(slot("I live in Lisbon") == slot("We laughed. I have moved to Porto"));
  CHECK(slot("My boss is Ann and my dog is Rex") == 0);
  CHECK(slot("Is my boss Ann? My boss is who?") == 0);
  CHECK(slot("My guess is that it rains") == 0);
  CHECK(slot("My sister is a nurse") == 0);
  CHECK(slot("My sister is coming on Friday") == 0);
  CHECK(slot("my") == 0);
  CHECK(slot("I live in") == 0);
  CHECK(slot("") == 0);
}

TEST_CASE_FIXTURE(Memories, "what was forgotten is not learned again") {
  store->database().execute("INSERT INTO tombstones VALUES (7, NULL, '2026-01-01', NULL)");
  auto insert = store->database().prepare("INSERT INTO tombstones VALUES (NULL, ?, '2026-01-01', NULL)");
  insert.bind(1, memory::content_hash("The cellar key")).run();
  CHECK(say("anything", "ann", "2026-01-01", 7).outcome == Outcome::forgotten);
  CHECK(say("the  cellar KEY").outcome == Outcome::forgotten);
  CHECK(cell("SELECT count(*) FROM memories") == "0");
  memory::NewMemory asked;
  asked.content = "The cellar key";
  asked.even_if_forgotten = true;
  CHECK(remember(asked).outcome == Outcome::added);
  CHECK(say("the cellar key").outcome == Outcome::merged);
}

TEST_CASE_FIXTURE(Memories, "links lead to what is near or names the same") {
  memory::NewMemory memory;
  const auto add = [&](const std::string& text, std::vector<memory::Entity> entities) {
    memory.content = text;
    memory.entities = std::move(entities);
    return remember(memory).id;
  };
  const auto ship = add("a ship with two masts", {});
  const auto oslo = add("completely different words here", {{"Oslo", "place"}});
  for (int i = 0; i < 8; ++i) add("filler with number " + std::to_string(i) + " zz" + std::to_string(i * 17), {});
  const auto both = add("a ship with three masts", {{"Oslo", "place"}});
  const auto weight = [&](std::int64_t other) {
    return cell("SELECT round(weight, 2) FROM links WHERE memory = " + std::to_string(both) +
                " AND other = " + std::to_string(other));
  };
  CHECK(std::stod(weight(ship)) > .4);
  CHECK(std::stod(weight(oslo)) >= .4);
  CHECK(cell("SELECT count(*) FROM links WHERE memory = " + std::to_string(both)) == "5");
}

TEST_CASE_FIXTURE(Memories, "embeddings.npy follows the vectors") {
  const auto matrix = [&] {
    io::Database database = memory::read_memories(tree, "alice");
    const memory::Embeddings rows(tree.memories("alice"), database);
    auto select = database.prepare("SELECT vector_row, embedding FROM memories WHERE embedding IS NOT NULL");
    while (select.step()) {
      const auto row = static_cast<std::uint64_t>(select.integer(0));
      if (row >= rows.rows()) continue;
      const auto values = rows.matrix().row(row);
      REQUIRE(std::memcmp(values.data(), select.blob(1).data(), values.size_bytes()) == 0);
    }
    return rows.rows();
  };
  say("first");
  say("second");
  CHECK(matrix() == 0);
  CHECK(store->finish_run().rewritten == false);
  CHECK(matrix() == 2);
  say("third");
  CHECK(matrix() == 2);
  auto report = store->finish_run();
  CHECK(report.appended == 1);
  CHECK(matrix() == 3);
  CHECK(store->finish_run().files.empty());

  std::filesystem::remove(memory::embeddings_file(tree.memories("alice")));
  CHECK(matrix() == 0);
  CHECK(store->finish_run().rewritten);
  CHECK(matrix() == 3);

  memory::erase_rows(tree.memories("alice"), memory::read_vector_state(store->database()),
                     std::vector<std::uint64_t>{1, 9});
  CHECK(vector::NpyMatrix(memory::embeddings_file(tree.memories("alice"))).row(1)[0] == 0);
  store->finish_run(true);
  CHECK(matrix() == 3);

  store->database().execute("DELETE FROM memories WHERE content <> 'third'");
  report = store->finish_run(true);
  CHECK(report.vectors == 1);
  CHECK(matrix() == 1);
  store->database().execute("DELETE FROM memories");
  store->finish_run();
  CHECK(matrix() == 0);
  CHECK(vector::NpyMatrix(memory::embeddings_file(tree.memories("alice"))).rows() == 0);
  CHECK(store->finish_run().files.empty());
}

TEST_CASE_FIXTURE(Memories, "exports that tell what the database does are not made to be compared") {
  say("a red boat");
  say("a blue boat");
  CHECK(store->finish_run().files.size() == 3);
  CHECK(store->finish_run().files.empty());
  // What another connection does is not noted: nothing is looked at.
  memory::open_memories(tree, "alice").execute("UPDATE links SET weight = .125");
  CHECK(store->finish_run().files.empty());
  using Names = std::vector<std::string>;
  CHECK(store->finish_run(true).files == Names{"embeddings.npy", "relationships.json", "emotional_state.json"});
  CHECK(io::read_file(tree.memories("alice") / "relationships.json").find(R"("weight":0.125,)") != std::string::npos);
  CHECK(store->finish_run().files.empty());
  store->database().execute("UPDATE links SET manual = 1");
  CHECK(store->finish_run().files == Names{"relationships.json"});
  store->database().execute("UPDATE memories SET valence = -.5");
  open();
  CHECK(store->finish_run().files == Names{"emotional_state.json"});
  io::replace_file(tree.memories("alice") / "relationships.json", "{}");
  CHECK(store->finish_run().files == Names{"relationships.json"});
  std::filesystem::remove(tree.memories("alice") / "emotional_state.json");
  CHECK(store->finish_run().files == Names{"emotional_state.json"});
}

TEST_CASE_FIXTURE(Memories, "another model embeds everything again") {
  say("first");
  say("second");
  store->finish_run();
  embedder = test::FakeEmbedder("other");
  embedder.embedded = 0;
  CHECK(store->use_embedder(embedder, 1, no_progress()) == 2);
  CHECK(embedder.embedded == 2);
  CHECK(store->finish_run().rewritten);
  CHECK(store->use_embedder(embedder, 1, no_progress()) == 0);
  CHECK(memory::read_vector_state(store->database()).model == "other");
}

TEST_CASE_FIXTURE(Memories, "memories without vectors get them when there is a model") {
  memory::NewMemory memory;
  memory.content = "no model was there";
  {
    io::Transaction transaction(store->database());
    store->remember(memory);
    transaction.commit();
  }
  CHECK(store->use_embedder(embedder, 1, no_progress()) == 1);
  CHECK(say("there was no model").outcome == Outcome::merged);
}

TEST_CASE_FIXTURE(Memories, "a run that was rolled back leaves the store usable") {
  {
    io::Transaction transaction(store->database());
    memory::NewMemory memory;
    const auto vector = vector_of("lost");
    memory.content = "lost";
    memory.embedding = vector;
    store->remember(memory);
  }
  store->reload();
  CHECK(say("lost").outcome == Outcome::added);
  CHECK(cell("SELECT rows FROM vector_state") == "1");
}

TEST_CASE_FIXTURE(Memories, "the threshold of duplicates is measured on the model's own vectors") {
  CHECK(store->duplicate_threshold() == .98);
  // Unrelated texts of this model: cosines from .9 up.
  const auto add = [&](int i) {
    std::vector<float> vector(32, 1);
    vector[static_cast<std::size_t>(i % 31)] += 2;
    vector[static_cast<std::size_t>(i % 29)] -= 1;
    float squares = 0;
    for (const float x : vector) squares += x * x;
    for (float& x : vector) x /= std::sqrt(squares);
    memory::NewMemory memory;
    memory.content = "text of its own " + std::to_string(i);
    memory.embedding = vector;
    store->remember(memory);
  };
  io::Transaction transaction(store->database());
  for (int i = 0; i < 256; ++i) add(i);
  const double threshold = store->duplicate_threshold();
  CHECK(threshold > .98);
  CHECK(threshold <= 1);
  transaction.commit();
  CHECK(cell("SELECT calibrated FROM vector_state") == "256");
  store->reload();
  CHECK(store->duplicate_threshold() == threshold);
}

TEST_CASE_FIXTURE(Memories, "the column recency follows with each run, as of its time") {
  say("told in January", "ann", "2026-01-01");
  const auto at = [&](const char* time, double half_life_days) {
    store.reset();
    store.emplace(tree, "alice", memory::StoreOptions{{}, half_life_days, parse_time(time)});
    const auto refreshed = store->finish_run().refreshed;
    CHECK(store->finish_run().refreshed == 0);
    return std::pair(refreshed, std::stod(cell("SELECT recency FROM memories")));
  };
  CHECK(at("2026-04-01", 90) == std::pair<std::uint64_t, double>(1, .5));
  CHECK(at("2026-04-01T01:00:00Z", 90).first == 0);  // hardly older: not worth a row
  CHECK(at("2026-04-01", 45).second == .25);
}

TEST_CASE_FIXTURE(Memories, "bad input is refused") {
  CHECK_THROWS_AS(say(" \n\t"), Error);
  memory::NewMemory memory;
  memory.content = "text";
  const std::vector<float> other_size(31, .1F), no_unit(32, 1.F);
  memory.embedding = other_size;
  CHECK_THROWS_WITH_AS(store->remember(memory), doctest::Contains("31 values"), Error);
  memory.embedding = no_unit;
  CHECK_THROWS_AS(store->remember(memory), Error);
  memory.embedding = {};
  memory.importance = std::nan("");
  CHECK_THROWS_AS(store->remember(memory), Error);
  CHECK_THROWS_WITH_AS(memory::Store(tree, "alice"), doctest::Contains("locked"), Error);
  CHECK(memory::parse_id("M12") == 12);
  CHECK(memory::parse_id("12") == 12);
  for (const char* const id : {"", "M", "x1", "M-1", "0", "99999999999999999999", "1 2"}) {
    CAPTURE(id);
    CHECK_THROWS_AS(memory::parse_id(id), Error);
  }
}

TEST_CASE_FIXTURE(Memories, "accesses are counted, and never waited for") {
  const auto id = say("asked for").id;
  const std::vector<std::int64_t> ids{id, 999};
  memory::touch(tree, "alice", ids);
  CHECK(cell("SELECT access_count FROM memories") == "1");
  {
    const io::Transaction writing(store->database());
    memory::touch(tree, "alice", ids);
  }
  CHECK(cell("SELECT access_count FROM memories") == "1");
  memory::touch(tree, "bob", ids);  // nobody
  CHECK_FALSE(std::filesystem::exists(tree.memories("bob")));
}

TEST_CASE("recency halves with each half life, which grows with use") {
  const Time now = parse_time("2026-06-01");
  const auto days_ago = [&](int days) { return now - std::chrono::hours(24 * days); };
  CHECK(memory::recency(now, now, 0) == 1);
  CHECK(memory::recency(days_ago(-5), now, 0) == 1);
  CHECK(memory::recency(days_ago(90), now, 0) == doctest::Approx(.5));
  CHECK(memory::recency(days_ago(180), now, 3) == doctest::Approx(.5));
  CHECK(memory::recency(days_ago(10), now, 0, 10) == doctest::Approx(.5));
}
