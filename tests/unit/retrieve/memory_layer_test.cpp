#include "reef/retrieve/memory_layer.h"

#include <doctest/doctest.h>

#include "reef/memory/store.h"
#include "reef/retrieve/query.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  test::FakeEmbedder embedder;

  void remember(memory::Store& store, const std::string& text, std::int64_t message) {
    std::vector<float> vector(32);
    embedder.embed_query(text, vector);
    memory::NewMemory memory;
    memory.content = text;
    memory.speaker = "Ann";
    memory.embedding = vector;
    memory.importance = .6;
    memory.created_at = parse_time("2026-01-01") + std::chrono::minutes(message);
    memory.source = memory::Source{message, "s", "m" + std::to_string(message)};
    io::Transaction transaction(store.database());
    store.remember(memory);
    transaction.commit();
  }
  std::vector<retrieve::Result> ask(const std::string& question, retrieve::Mode mode) {
    const tree::Config config = tree::Config::load(tree);
    retrieve::Searcher searcher(tree, config,
                                [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); });
    retrieve::QueryOptions options;
    options.persona = "alice";
    options.layers = {"memories"};
    options.mode = mode;
    return searcher.query(question, options).results;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "memories whose vectors are not exported yet are found by them all the same") {
  memory::Store store(tree, "alice");
  store.use_embedder(embedder, 1, no_progress());
  remember(store, "zinnia yarrow", 1);
  store.finish_run();
  remember(store, "quartz feldspar", 2);  // a run that is at work still
  for (const char* text : {"zinnia yarrow", "quartz feldspar"}) {
    CAPTURE(text);
    const auto results = ask(text, retrieve::Mode::dense);
    REQUIRE(results.size() == 2);
    CHECK(results[0].passage.text == text);
    CHECK(results[0].passage.memory->external_ids.size() == 1);
    CHECK(results[0].passage.memory->importance == doctest::Approx(.6));
  }
  store.finish_run();
  CHECK(ask("quartz feldspar", retrieve::Mode::dense)[0].passage.text == "quartz feldspar");
}

TEST_CASE_FIXTURE(Fixture, "memories of a session are neighbours in the order in which they were said") {
  memory::Store store(tree, "alice");
  store.use_embedder(embedder, 1, no_progress());
  remember(store, "third basalt", 3);
  remember(store, "first granite", 1);
  remember(store, "second marble", 2);
  remember(store, "fourth slate", 4);
  store.finish_run();
  const auto results = ask("granite", retrieve::Mode::bm25);
  REQUIRE(results.size() == 2);
  CHECK(results[0].passage.text == "first granite");
  CHECK(results[1].passage.text == "second marble");
}
