#include "reef/document/chunk_map.h"

#include <doctest/doctest.h>

#include "reef/document/ingest.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

namespace {

struct Fixture : test::TreeFixture {
  void ingest() {
    document::IngestOptions options;
    options.paths = {(dir / "in").string()};
    document::ingest(
        tree, options, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what a question is parted by finds texts that are parted by it") {
  write("a.txt", "Backup—restore: l’été, 東京タワー、fin.");
  ingest();
  document::Snapshot snapshot(tree.vectors(tree::Scope::shared()), tree::Scope::shared());
  for (const char* question : {"backup—restore", "restore\u00a0backup", "backup💾", "l’été", "l'ete", "東京タワー。"}) {
    CAPTURE(question);
    const auto terms = text::query_terms(question);
    REQUIRE(!terms.empty());
    for (const text::Postings& term : snapshot.postings(terms)) CHECK(term.rows.size() == 1);
  }
}

TEST_CASE("postings hold every row with its count, stemmed as FTS5 stems") {
  test::TreeFixture fixture;
  fixture.write("a.txt", "Whales eat. A whale eats whales.");
  fixture.write("b.txt", "Nothing of that kind.");
  document::IngestOptions options;
  options.paths = {(fixture.dir / "in").string()};
  document::ingest(
      fixture.tree, options, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  document::Snapshot snapshot(fixture.tree.vectors(tree::Scope::shared()), tree::Scope::shared());
  for (int again = 0; again < 3; ++again) {
    const auto postings = snapshot.postings(std::vector<std::string>{"whale", "unheard"});
    REQUIRE(postings.size() == 2);
    REQUIRE(postings[0].rows.size() == 1);
    CHECK(postings[0].counts[0] == 3);
    CHECK(postings[1].rows.empty());
  }
  CHECK(snapshot.map().rows(false) == 2);
  CHECK(snapshot.map().words_in_all(false) == 10);
}

TEST_CASE_FIXTURE(Fixture, "a page of the chunk map that cannot be is a fault, and asks for no memory") {
  write("a.txt", "Some text.");
  ingest();
  const tree::Scope shared = tree::Scope::shared();
  io::Database database(tree.vectors(shared) / "metadata.sqlite", io::OpenMode::write);
  database.execute("UPDATE chunk_map SET page = 250000000");
  CHECK_THROWS_WITH_AS(document::Snapshot(tree.vectors(shared), shared), doctest::Contains("page 250000000"), Error);
  const auto report = document::verify(tree, {shared}, std::chrono::milliseconds(0), no_progress());
  REQUIRE(!report.faults.empty());
  CHECK(report.faults[0].what.find("page 250000000") != std::string::npos);
}
