#include "reef/document/lexicon.h"

#include <doctest/doctest.h>

#include "reef/document/ingest.h"
#include "reef/document/store.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;

TEST_CASE("query terms are lower case, each once, without stop words") {
  CHECK(document::query_terms("Does the Lease end? THE lease!") == std::vector<std::string>{"lease", "end"});
  CHECK(document::query_terms("to be or not to be") == std::vector<std::string>{"to", "be", "or", "not"});
  CHECK(document::query_terms("  ?! ").empty());
  CHECK(document::query_terms("naïve café") == std::vector<std::string>{"naïve", "café"});
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
      fixture.tree, options, [] { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  document::Snapshot snapshot(fixture.tree.vectors(tree::Scope::shared()), tree::Scope::shared());
  for (int again = 0; again < 3; ++again) {
    const auto postings = snapshot.postings(std::vector<std::string>{"whale", "unheard"});
    REQUIRE(postings.size() == 2);
    REQUIRE(postings[0].chunks.size() == 1);
    CHECK(postings[0].counts[0] == 3);
    CHECK(postings[1].chunks.empty());
  }
  CHECK(snapshot.map().rows(false) == 2);
  CHECK(snapshot.map().mean_words(false) == doctest::Approx(5));
}
