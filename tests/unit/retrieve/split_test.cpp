#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/document/shard_moves.h"
#include "reef/retrieve/query.h"
#include "reef/tree/parts.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
namespace fs = std::filesystem;

namespace {

std::unique_ptr<embed::Embedder> fake(const std::string&) { return std::make_unique<test::FakeEmbedder>(); }

constexpr const char* kWords[] = {"whale",  "harbour", "oak",  "ship", "salt",
                                  "barrel", "pier",    "sail", "rope", "forest"};
constexpr const char* kQuestions[] = {"which ship carries salt",   "whale",
                                      "rope and sail at the pier", "forest of oak",
                                      "number 17 barrel",          "unheard words"};

struct Fixture : test::TreeFixture {
  Fixture() {
    for (const char* name : {"a", "b", "c"}) fs::create_directories(dir / name);
    take("with.jsonl", 0, 300, false);
    take("without.jsonl", 300, 400, true);
    std::string book = "# Harbour\n\n";
    for (int i = 0; i < 60; ++i)
      book += fmt::format("## Part {0}\n\nThe {1} of part {0} lies at the pier.\n\n", i, kWords[i % 10]);
    ingest(write("book.md", book), tree::Scope::shared(), false);
    ingest(write("own.md", "# Own\n\nMy whale swims to the harbour.\n"), tree::Scope::persona("alice"), false);
  }
  void ingest(const fs::path& path, const tree::Scope& scope, bool text_only) {
    document::IngestOptions options;
    options.paths = {path.string()};
    options.scope = scope;
    options.text_only = text_only;
    document::ingest(tree, options, fake, no_progress());
  }
  void take(const std::string& name, int from, int to, bool text_only) {
    std::string text;
    for (int i = from; i < to; ++i)
      text += fmt::format(
          "{{\"id\":\"d{0}\",\"created\":\"20{1:02}-01-01\",\"text\":\"Number {0}: the {2} and the {3}, {4} "
          "again.{5}\"}}\n",
          i, i % 20, kWords[i % 10], kWords[i * 7 % 9], kWords[i * i % 10], own_words(i));
    ingest(write(name, text), tree::Scope::shared(), text_only);
  }
  /// So that few documents are as good as one another: which of those stand among the candidates, no store promises.
  static std::string own_words(int i) {
    std::string words;
    for (int k = 0; k < 2 + i % 11; ++k) words += fmt::format(" word{}", (i * 37 + k * k * 101) % 1009);
    return words;
  }
  void apply(const std::string& names) {
    io::replace_file(tree.config("system.yaml"), fmt::format("storage:\n  shards: [{}]\n", names));
    document::apply_shards(tree, tree::Config::load(tree), {}, no_progress());
  }
  struct Found {
    std::string id, layer, document;
    double score, bm25, cosine;
    friend bool operator==(const Found&, const Found&) = default;
  };
  std::vector<std::vector<Found>> answers() {
    const tree::Config config = tree::Config::load(tree);
    retrieve::Searcher searcher(tree, config, fake);
    std::vector<std::vector<Found>> answers;
    for (const auto mode : {retrieve::Mode::hybrid, retrieve::Mode::bm25, retrieve::Mode::dense}) {
      for (const char* const question : kQuestions) {
        for (int way = 0; way < 4; ++way) {
          retrieve::QueryOptions options;
          options.mode = mode;
          options.count = way == 0 ? 150 : 12;
          options.chunks = way == 1;
          if (way == 2) options.filter.since = "2010-01-01T00:00:00Z";
          if (way == 3) options.persona = "alice";
          const auto answer = searcher.query(question, options);
          CHECK(answer.missing.empty());
          answers.emplace_back();
          for (const auto& result : answer.results)
            answers.back().push_back({result.passage.id, result.layer, result.passage.document, result.score,
                                      result.bm25, result.cosine.value_or(-2)});
        }
      }
    }
    return answers;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "split knowledge gives the answers of a store that is whole: same ids, same scores") {
  const auto whole = answers();
  std::size_t results = 0;
  for (const auto& answer : whole) results += answer.size();
  CHECK(results > 1000);
  for (const char* names : {"../a, ../b", "../a, ../b, ../c", "../c"}) {
    apply(names);
    const auto split = answers();
    REQUIRE(split.size() == whole.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      INFO(names, " answer ", i);
      REQUIRE(split[i].size() == whole[i].size());
      for (std::size_t k = 0; k < whole[i].size(); ++k) {
        INFO(k, " ", whole[i][k].id, " ", whole[i][k].score, " ", split[i][k].id, " ", split[i][k].score);
        CHECK(split[i][k] == whole[i][k]);
      }
    }
    CHECK(retrieve::show(tree, "S17").document == "d16");
  }
}

TEST_CASE_FIXTURE(Fixture, "without one of its parts, shared knowledge answers from the others and names the shard") {
  apply("../a, ../b");
  const auto parts = tree::parts_of(tree, tree::Scope::shared());
  const fs::path place = fs::canonical(parts[1].folder).parent_path();
  fs::rename(place, dir / "away");
  const tree::Config config = tree::Config::load(tree);
  retrieve::Searcher searcher(tree, config, fake);
  retrieve::QueryOptions options;
  options.count = 20;
  const auto answer = searcher.query("which ship carries salt", options);
  CHECK(answer.results.size() == 20);
  for (const auto& result : answer.results) CHECK(tree::part_of_document(parts, result.passage.document) == 0);
  REQUIRE(answer.missing.size() == 1);
  CHECK(answer.missing[0].shard == parts[1].shard);
  CHECK(to_json(answer).find(fmt::format("\"missing\":[\"shared@{}\"]", parts[1].shard)) != std::string::npos);
  // A passage of either part: shown, or its shard named.
  int shown = 0, named = 0;
  for (int id = 1; id <= 20; ++id) {
    try {
      retrieve::show(tree, fmt::format("S{}", id));
      ++shown;
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find(parts[1].shard) != std::string::npos);
      ++named;
    }
  }
  CHECK(shown > 0);
  CHECK(named > 0);
  fs::rename(dir / "away", place);
  fs::rename(fs::canonical(parts[0].folder).parent_path(), dir / "away");
  fs::rename(place, dir / "away2");
  CHECK_THROWS_WITH_AS(retrieve::Searcher(tree, config, fake).query("salt", options), doctest::Contains("out of reach"),
                       Error);
}
