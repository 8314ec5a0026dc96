#include "reef/document/lexicon.h"

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

TEST_CASE("query terms are lower case, each once, without stop words") {
  CHECK(document::query_terms("Does the Lease end? THE lease!") == std::vector<std::string>{"lease", "end"});
  CHECK(document::query_terms("to be or not to be") == std::vector<std::string>{"to", "be", "or", "not"});
  CHECK(document::query_terms("  ?! ").empty());
}

TEST_CASE("query terms end where FTS5 ends words, and are folded as it folds them") {
  const auto terms = [](const char* text) { return document::query_terms(text); };
  const std::vector<std::string> two{"backup", "restore"};
  for (const char* question :
       {"backup restore", "backup—restore", "Backup\u00a0restore", "“backup” … ‘restore’", "backup • restore‽",
        "backup\u200brestore", "backup、restore。", "backup 💾 restore", "backup—Backup restore"}) {
    CAPTURE(question);
    CHECK(terms(question) == two);
  }
  CHECK(terms("The naïve café, CAFÉ") == std::vector<std::string>{"naive", "cafe"});
  CHECK(terms("cafe\u0301") == std::vector<std::string>{"cafe"});  // an accent of its own
  CHECK(terms("Ärger über Straßen") == std::vector<std::string>{"arger", "uber", "straßen"});
  CHECK(terms("l’oiseau d'été") == std::vector<std::string>{"l", "oiseau", "d", "ete"});
  CHECK(terms("東京タワー、高さ") == std::vector<std::string>{"東京タワー", "高さ"});
  CHECK(terms("ПОЖАР 42½") == std::vector<std::string>{"пожар", "42½"});
  CHECK(terms("—\u00a0💾").empty());
}

TEST_CASE("words of ASCII are the same with and without the tokenizer") {
  for (std::string question : {"Does the lease_end?", "a-b c.d/e", "x2 3y \x01 \x7f z", "tab\there"}) {
    CAPTURE(question);
    CHECK(document::query_terms(question + " q") == document::query_terms(question + "\u00a0q"));
  }
}

TEST_CASE_FIXTURE(Fixture, "what a question is parted by finds texts that are parted by it") {
  write("a.txt", "Backup—restore: l’été, 東京タワー、fin.");
  ingest();
  document::Snapshot snapshot(tree.vectors(tree::Scope::shared()), tree::Scope::shared());
  for (const char* question : {"backup—restore", "restore\u00a0backup", "backup💾", "l’été", "l'ete", "東京タワー。"}) {
    CAPTURE(question);
    const auto terms = document::query_terms(question);
    REQUIRE(!terms.empty());
    for (const document::Postings& term : snapshot.postings(terms)) CHECK(term.chunks.size() == 1);
  }
}

TEST_CASE("inverse document frequency is FTS5's") {
  CHECK(document::inverse_document_frequency(100, 1) == doctest::Approx(4.19469).epsilon(1e-5));
  CHECK(document::inverse_document_frequency(100, 90) == doctest::Approx(1e-6));
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
    REQUIRE(postings[0].chunks.size() == 1);
    CHECK(postings[0].counts[0] == 3);
    CHECK(postings[1].chunks.empty());
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
