#include "reef/retrieve/query.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/retrieve/near_duplicates.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  void ingest(const std::string& jsonl, const tree::Scope& scope, bool text_only = false,
              std::vector<std::string> tags = {}) {
    static int number = 0;
    const auto path = write(fmt::format("set{}.jsonl", ++number), jsonl);
    document::IngestOptions options;
    options.paths = {path.string()};
    options.scope = scope;
    options.text_only = text_only;
    options.tags = std::move(tags);
    document::ingest(
        tree, options, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  }
  tree::Config config = tree::Config::load(tree);
  retrieve::Searcher searcher{tree, config, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }};

  std::vector<std::string> ids(const std::string& text, retrieve::QueryOptions options = {}) {
    std::vector<std::string> ids;
    for (const auto& result : searcher.query(text, options).results) ids.push_back(result.passage.document);
    return ids;
  }
};

const tree::Scope kShared = tree::Scope::shared();
const tree::Scope kAlice = tree::Scope::persona("alice");

}  // namespace

TEST_CASE_FIXTURE(Fixture, "each mode finds the document that answers") {
  ingest(
      "{\"id\":\"whale\",\"text\":\"The whale is the largest animal.\"}\n"
      "{\"id\":\"oak\",\"text\":\"An oak grows slowly in the forest.\"}\n"
      "{\"id\":\"ship\",\"text\":\"A ship carries salt across the sea.\"}\n",
      kShared);
  for (const auto mode : {retrieve::Mode::hybrid, retrieve::Mode::dense, retrieve::Mode::bm25}) {
    retrieve::QueryOptions options;
    options.mode = mode;
    const auto found = ids("largest whale animal", options);
    REQUIRE(!found.empty());
    CHECK(found[0] == "whale");
  }
}

TEST_CASE_FIXTURE(Fixture, "consecutive questions do not see each other's words") {
  ingest("{\"id\":\"whale\",\"text\":\"The whale swims.\"}\n{\"id\":\"oak\",\"text\":\"The oak grows.\"}\n", kShared);
  retrieve::QueryOptions words;
  words.mode = retrieve::Mode::bm25;
  CHECK(ids("whale", words) == std::vector<std::string>{"whale"});
  CHECK(ids("oak", words) == std::vector<std::string>{"oak"});
  CHECK(ids("unheard", words).empty());
}

TEST_CASE_FIXTURE(Fixture, "a persona sees its own knowledge and the shared one, never another's") {
  ingest("{\"id\":\"secret\",\"text\":\"Alice hides the key under the stone.\"}\n", kAlice);
  ingest("{\"id\":\"public\",\"text\":\"Keys are made of brass, not of stone.\"}\n", kShared);
  retrieve::QueryOptions alice;
  alice.persona = "alice";
  CHECK(ids("key stone", alice).size() == 2);
  CHECK(ids("key stone") == std::vector<std::string>{"public"});
  retrieve::QueryOptions bob;
  bob.persona = "bob";
  CHECK(ids("key stone", bob) == std::vector<std::string>{"public"});
}

TEST_CASE_FIXTURE(Fixture, "documents without vectors are a layer of their own") {
  ingest("{\"id\":\"words\",\"text\":\"Lighthouse keepers write logs.\"}\n", kShared, true);
  const auto answer = searcher.query("lighthouse logs", {});
  REQUIRE(answer.results.size() == 1);
  CHECK(answer.results[0].layer == "documents");
  CHECK(!answer.results[0].cosine);
  retrieve::QueryOptions only_shared;
  only_shared.layers = {"shared"};
  CHECK_THROWS_AS(searcher.query("lighthouse", only_shared), Error);
}

TEST_CASE_FIXTURE(Fixture, "one result for a document, near-duplicates once, unless chunks are asked for") {
  std::string body;
  for (int i = 0; i < 30; ++i) body += fmt::format("Sentence number {} tells of copper mines. ", i);
  ingest(fmt::format("{{\"id\":\"long\",\"text\":\"{}\"}}\n", body) +
             "{\"id\":\"one\",\"text\":\"Copper is a metal that conducts heat and current very well.\"}\n"
             "{\"id\":\"two\",\"text\":\"Copper is a metal that conducts heat and current very well!\"}\n",
         kShared);
  const auto found = ids("copper");
  CHECK(found.size() == 2);
  retrieve::QueryOptions chunks;
  chunks.chunks = true;
  CHECK(ids("copper", chunks).size() > 2);
}

TEST_CASE_FIXTURE(Fixture, "a long document does not crowd out short ones that match, in any mode") {
  std::string book;
  for (int i = 0; i < 400; ++i)
    book += fmt::format("# Section {}\n\nThe wombat digs wombat burrows {} feet deep, says wombat lore.\n\n", i, i);
  const auto path = write("wombats.md", book);
  document::IngestOptions options;
  options.paths = {path.string()};
  document::ingest(
      tree, options, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  std::string notes;
  for (const char* note : {"one", "two", "three"})
    notes += fmt::format(
        "{{\"id\":\"{0}\",\"text\":\"Note {0} tells of a long walk past the mill, where at last, tired and late, a "
        "wombat was seen by us under the {0} oaks.\"}}\n",
        note);
  ingest(notes, kShared);
  for (const auto mode : {retrieve::Mode::hybrid, retrieve::Mode::dense, retrieve::Mode::bm25}) {
    CAPTURE(static_cast<int>(mode));
    retrieve::QueryOptions query;
    query.mode = mode;
    query.count = 100;
    const auto results = searcher.query("wombat", query).results;
    REQUIRE(results.size() == 4);
    CHECK(results[0].passage.document.ends_with("wombats.md"));
    for (std::size_t i = 1; i < results.size(); ++i) {
      CHECK(results[i].rank == i + 1);
      CHECK(results[i].score <= results[i - 1].score);
    }
    query.filter.since = "2000-01-01T00:00:00.000Z";
    CHECK(ids("wombat", query).size() == 4);
    query.count = 1;
    CHECK(ids("wombat", query).size() == 1);
  }
  retrieve::QueryOptions chunks;
  chunks.chunks = true;
  chunks.count = 1000;
  CHECK(ids("wombat", chunks).size() == 403);
  chunks.count = 150;
  CHECK(ids("wombat", chunks).size() == 150);
}

TEST_CASE_FIXTURE(Fixture, "filters by tag and by date hold for both searches") {
  ingest(
      "{\"id\":\"old\",\"text\":\"Harbour report.\",\"created\":\"2020-01-01\"}\n"
      "{\"id\":\"new\",\"text\":\"Harbour report, revised edition with tables.\",\"created\":\"2024-06-01\"}\n",
      kShared, false, {"reports"});
  ingest("{\"id\":\"other\",\"text\":\"Harbour songs.\",\"created\":\"2024-06-01\"}\n", kShared);
  retrieve::QueryOptions options;
  options.filter.tags = {"reports"};
  CHECK(ids("harbour", options).size() == 2);
  options.filter.since = "2023-01-01T00:00:00.000Z";
  CHECK(ids("harbour", options) == std::vector<std::string>{"new"});
  options.filter.since.clear();
  options.filter.until = "2023-01-01T00:00:00.000Z";
  CHECK(ids("harbour", options) == std::vector<std::string>{"old"});
}

TEST_CASE_FIXTURE(Fixture, "a filter by document takes its id or its file, and refuses what nobody has") {
  ingest("{\"id\":\"a\",\"text\":\"Harbour report.\"}\n{\"id\":\"b\",\"text\":\"Harbour songs and charts.\"}\n",
         kShared);
  retrieve::QueryOptions options;
  options.filter.documents = {"b"};
  for (const auto mode : {retrieve::Mode::hybrid, retrieve::Mode::dense, retrieve::Mode::bm25}) {
    options.mode = mode;
    CHECK(ids("harbour", options) == std::vector<std::string>{"b"});
  }
  options.filter.documents = {searcher.query("harbour", {}).results[0].passage.source};
  CHECK(ids("harbour", options).size() == 2);
  options.filter.documents = {"b", "nobody's"};
  try {
    ids("harbour", options);
    FAIL("an unknown document was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_found);
    CHECK(std::string(error.what()).find("nobody's") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "vectors of another model are refused with both names") {
  ingest("{\"id\":\"a\",\"text\":\"Some text.\"}\n", kShared);
  retrieve::Searcher other(tree, config,
                           [](const std::string&) { return std::make_unique<test::FakeEmbedder>("another"); });
  try {
    other.query("text", {});
    FAIL("another model was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK(std::string(error.what()).find("fake") != std::string::npos);
    CHECK(std::string(error.what()).find("another") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "context stays within its budget and cites every passage") {
  ingest(
      "{\"id\":\"a\",\"title\":\"Tides\",\"text\":\"The moon raises tides twice a day.\"}\n"
      "{\"id\":\"b\",\"text\":\"The moon has no air and its tides are of rock.\"}\n",
      kShared);
  const auto answer = searcher.query("moon tides", {});
  const test::FakeEmbedder counter;
  const auto count = [&](std::string_view text) { return counter.count_tokens(text); };
  const std::string all = retrieve::format_context(answer, 1000, count);
  CHECK(all.find("[S1") != std::string::npos);
  CHECK(all.find("[S2") != std::string::npos);
  const std::size_t head = count(all.substr(0, all.find('\n')));
  for (const std::size_t budget : {head + 2, head + 3, std::size_t{14}, std::size_t{25}}) {
    const std::string context = retrieve::format_context(answer, budget, count);
    CHECK(!context.empty());
    CHECK(count(context) <= budget);
  }
  try {
    retrieve::format_context(answer, head + 1, count);
    FAIL("a budget without room for text was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK(error.hint() == fmt::format("pass --budget {} or more", head + 2));
  }
  CHECK(retrieve::format_context({}, 1, count).empty());
}

TEST_CASE_FIXTURE(Fixture, "context lets no control characters through but line ends and tabs") {
  ingest(
      "{\"id\":\"a\",\"title\":\"Bell\\u0007\\u001b[31m\",\"text\":\"Bells\\u001b]0;title\\u0007 "
      "ring.\\r\\nTwice\\ta day.\\fNew \\u009b2J page.\"}\n",
      kShared);
  const auto count = [](std::string_view text) { return text.size() / 4; };
  const std::string context = retrieve::format_context(searcher.query("bells", {}), 1000, count);
  CHECK(context.find("ring.\nTwice") != std::string::npos);
  CHECK(context.find("day.") != std::string::npos);
  CHECK(context.find("\u009b") == std::string::npos);
  CHECK(std::none_of(context.begin(), context.end(), [](char c) {
    return c == '\x7f' || (static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t');
  }));
}

TEST_CASE_FIXTURE(Fixture, "an empty question is a fault of use") {
  ingest("{\"id\":\"a\",\"text\":\"Some text.\"}\n", kShared);
  for (const char* question : {"", "  \t\n", "\u00a0", "\u3000 \ufeff", "\x01"}) {
    CAPTURE(question);
    CHECK_THROWS_WITH_AS(searcher.query(question, {}), "the question is empty", Error);
  }
  CHECK(!retrieve::is_blank("?"));
  CHECK(!retrieve::is_blank(" \u00e0"));
}

TEST_CASE_FIXTURE(Fixture, "show resolves the ids of results") {
  ingest("{\"id\":\"a\",\"title\":\"T\",\"text\":\"Some text of Alice.\"}\n", kAlice);
  retrieve::QueryOptions options;
  options.persona = "alice";
  const auto answer = searcher.query("text", options);
  REQUIRE(answer.results.size() == 1);
  CHECK(retrieve::show(tree, answer.results[0].passage.id).text == "Some text of Alice.");
  CHECK_THROWS_AS(retrieve::show(tree, "P999@alice"), Error);
  CHECK_THROWS_AS(retrieve::show(tree, "nonsense"), Error);
}

TEST_CASE_FIXTURE(Fixture, "nothing ingested is told as such") {
  try {
    searcher.query("anything", {});
    FAIL("an empty tree answered");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::not_found);
    CHECK(error.hint().find("ingest") != std::string::npos);
  }
}

TEST_CASE("near-duplicates are told by their runs of words") {
  retrieve::NearDuplicates seen;
  CHECK(seen.add("The quick brown fox jumps over the lazy dog near the river bank today"));
  CHECK(!seen.add("the quick brown fox, jumps over the lazy dog near the river bank TODAY"));
  CHECK(seen.add("The quick brown fox sleeps under the lazy dog near the river bank today"));
  CHECK(seen.add("short"));
  CHECK(!seen.add("Short!"));
}

TEST_CASE_FIXTURE(Fixture, "a search by vectors where there are none says so") {
  ingest("{\"id\":\"whale\",\"text\":\"The whale swims.\"}\n", kShared, true);
  retrieve::QueryOptions dense;
  dense.mode = retrieve::Mode::dense;
  CHECK_THROWS_WITH_AS(ids("whale", dense), doctest::Contains("has vectors"), Error);
  CHECK_THROWS_WITH_AS(searcher.query_vector({1, 0, 0}, {}), doctest::Contains("has vectors"), Error);
  CHECK(ids("whale") == std::vector<std::string>{"whale"});
}

TEST_CASE_FIXTURE(Fixture, "a persona on a missing shard is named, and the other layers answer") {
  ingest("{\"id\":\"mine\",\"text\":\"My whale swims.\"}\n", kAlice);
  ingest("{\"id\":\"whale\",\"text\":\"The whale swims.\"}\n", kShared);
  const auto folder = tree.vectors(kAlice);
  std::filesystem::rename(folder, dir / "unmounted");
  std::filesystem::create_directory_symlink(dir / "shard/personas/alice", folder);
  retrieve::QueryOptions options;
  options.persona = "alice";
  const auto answer = searcher.query("whale", options);
  REQUIRE(answer.results.size() == 1);
  CHECK(answer.results[0].passage.document == "whale");
  REQUIRE(answer.missing.size() == 1);
  CHECK(answer.missing[0].scope == "persona:alice");
  CHECK(to_json(answer).find("\"missing\":[\"persona:alice\"]") != std::string::npos);
  CHECK(searcher.query("whale", {}).missing.empty());
  options.layers = {"persona"};
  CHECK_THROWS_WITH_AS(searcher.query("whale", options), doctest::Contains("out of reach"), Error);
  // The drive is mounted while the program runs.
  std::filesystem::create_directories(dir / "shard/personas");
  std::filesystem::rename(dir / "unmounted", dir / "shard/personas/alice");
  CHECK(searcher.query("whale", options).results[0].passage.document == "mine");
}

TEST_CASE_FIXTURE(Fixture, "each scope is asked by the model of its own vectors") {
  const auto ingest_with = [&](const std::string& model, const std::string& jsonl, const tree::Scope& scope) {
    document::IngestOptions options;
    options.paths = {write(model + ".jsonl", jsonl).string()};
    options.scope = scope;
    document::ingest(
        tree, options, [&](const std::string&) { return std::make_unique<test::FakeEmbedder>(model); }, no_progress());
  };
  ingest_with("one", "{\"id\":\"whale\",\"text\":\"The whale is the largest animal.\"}\n", kShared);
  ingest_with("two", "{\"id\":\"seal\",\"text\":\"The seal is a small animal.\"}\n", kAlice);
  std::vector<std::string> opened;
  std::string missing;
  const auto make = [&](const std::string& name) -> std::unique_ptr<embed::Embedder> {
    if (name.empty() || name == missing) throw Error(Errc::not_found, "there is no model '" + name + "'");
    opened.push_back(name);
    return std::make_unique<test::FakeEmbedder>(name);
  };
  retrieve::QueryOptions options;
  options.persona = "alice";
  for (const auto mode : {retrieve::Mode::hybrid, retrieve::Mode::dense}) {
    options.mode = mode;
    opened.clear();
    retrieve::Searcher both(tree, config, make);
    const auto answer = both.query("animal", options);
    REQUIRE(answer.results.size() == 2);
    for (const auto& result : answer.results) CHECK(result.cosine);
    both.query("animal", options);
    std::sort(opened.begin(), opened.end());
    CHECK(opened == std::vector<std::string>{"one", "two"});  // once each, however many questions come
  }
  // Without one of them that scope is searched by words; dense search is refused, and so is any without both.
  missing = "two";
  options.mode = retrieve::Mode::hybrid;
  retrieve::Searcher half(tree, config, make);
  const auto answer = half.query("animal", options);
  REQUIRE(answer.results.size() == 2);
  for (const auto& result : answer.results) CHECK(result.cosine.has_value() == (result.passage.document == "whale"));
  options.mode = retrieve::Mode::dense;
  CHECK_THROWS_AS(half.query("animal", options), Error);
  options.mode = retrieve::Mode::hybrid;
  options.layers = {"persona"};
  CHECK_THROWS_AS(half.query("animal", options), Error);
  options.mode = retrieve::Mode::bm25;
  CHECK(half.query("animal", options).results.size() == 1);
}
