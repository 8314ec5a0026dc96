#include "reef/document/reembed.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/document/given_vectors.h"
#include "reef/document/ingest.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "reef/vector/npy.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
using test::FakeEmbedder;

namespace {

const tree::Scope kShared = tree::Scope::shared();

struct Fixture : test::TreeFixture {
  std::function<void()> before_batch;

  embed::EmbedderMaker maker() {
    return [this](const std::string& name) {
      return std::make_unique<FakeEmbedder>(name.empty() ? "fake" : name, before_batch);
    };
  }
  /// Documents "d0", …, one passage each.
  void ingest(std::size_t count) {
    std::string lines;
    for (std::size_t i = 0; i < count; ++i)
      lines += fmt::format("{{\"id\":\"d{0}\",\"text\":\"Boat number n{0}.\"}}\n", i);
    document::IngestOptions options;
    options.paths = {write("list.jsonl", lines).string()};
    document::ingest(tree, options, maker(), no_progress());
  }
  std::optional<document::ReembedReport> reembed(const std::string& name) {
    return document::reembed(tree, {}, *maker()(name), no_progress());
  }
  document::Snapshot snapshot() { return {tree.vectors(kShared), kShared}; }
  /// Fails unless each chunk's vector is that of its text, which says that rows and texts belong together.
  void require_own_vectors() {
    auto store = snapshot();
    auto chunks = store.database().prepare("SELECT id, text, vector_row FROM chunks WHERE vector_row IS NOT NULL");
    std::vector<float> vector(32);
    while (chunks.step()) {
      FakeEmbedder().embed_query(chunks.text(1), vector);
      const auto row = static_cast<std::uint64_t>(chunks.integer(2));
      const auto stored = store.vectors().row(row);
      REQUIRE(std::equal(stored.begin(), stored.end(), vector.begin(), vector.end()));
      REQUIRE(store.map().chunk_of_row(row) == chunks.integer(0));
    }
  }
  void require_sound() {
    const auto report =
        document::verify(tree, document::scopes_of(tree, {"alice"}), std::chrono::milliseconds(0), no_progress());
    for (const auto& fault : report.faults) FAIL(fault.scope << " " << fault.file << ": " << fault.what);
    require_own_vectors();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a store gets vectors of another model, without the removed ones, and once") {
  ingest(600);
  document::RemoveOptions remove;
  remove.documents = {"d3", "d599"};
  document::remove(tree, remove);
  const auto report = reembed("other");
  REQUIRE(report);
  CHECK(report->previous == "fake");
  CHECK(report->chunks == 598);
  CHECK(report->embedded == 598);
  CHECK(report->removed == 2);
  CHECK(report->cut == 0);
  const auto state = snapshot().vectors().state();
  CHECK(state.model == "other");
  CHECK(state.rows_total == 598);
  CHECK(state.rows_indexed == 598);
  require_sound();
  CHECK(!reembed("other"));
  const auto back = reembed("fake");  // all of it is in the cache
  REQUIRE(back);
  CHECK(back->embedded == 0);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "an interrupted run leaves the old vectors, and the next one goes on from there") {
  ingest(1000);
  int batches = 0;
  before_batch = [&] {
    if (++batches == 3) throw Error(Errc::interrupted, "interrupted");
  };
  CHECK_THROWS_AS(reembed("other"), Error);
  CHECK(snapshot().vectors().state().model == "fake");
  require_sound();
  before_batch = {};
  const auto report = reembed("other");
  REQUIRE(report);
  CHECK(report->chunks == 1000);
  CHECK(report->embedded == 1000 - 2 * 256);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a graph that cannot be built leaves the old vectors and no others") {
  struct StopsAtGraph : Progress {
    void begin(std::string_view stage, std::uint64_t, ProgressUnit) override {
      if (stage == "building the graph") throw Error(Errc::interrupted, "interrupted");
    }
    void advance(std::uint64_t) override {}
    void end() override {}
  } progress;
  ingest(300);
  CHECK_THROWS_AS(document::reembed(tree, {}, *maker()("other"), progress), Error);
  CHECK(snapshot().vectors().state().model == "fake");
  require_sound();
  // What a caller's transaction names is not yet what readers have.
  document::Store store(tree.vectors(kShared), kShared, std::chrono::milliseconds(0));
  io::Transaction transaction(store.database());
  CHECK_THROWS_AS(store.vectors().remove_unnamed(), Error);
}

TEST_CASE_FIXTURE(Fixture, "the old vectors are read while new ones are made") {
  ingest(300);
  std::string seen;
  before_batch = [&] { seen = snapshot().vectors().state().model; };
  auto before = snapshot();
  REQUIRE(reembed("other"));
  CHECK(seen == "fake");
  CHECK(before.vectors().state().model == "fake");
  std::vector<float> question(32);
  FakeEmbedder().embed_query("boat n7", question);
  CHECK(before.vectors().search(question, 1).size() == 1);
  CHECK(snapshot().vectors().state().model == "other");
}

TEST_CASE_FIXTURE(Fixture, "vectors made elsewhere are embedded from their texts") {
  document::GivenOptions given;
  given.vectors = dir / "in/v.npy";
  given.metadata = write("v.jsonl", "{\"id\":\"a\",\"text\":\"Sails.\"}\n{\"id\":\"b\",\"text\":\"Ropes.\"}\n");
  given.embedding = "elsewhere";
  vector::write_npy(given.vectors, std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0}, 4);
  const auto none = [](const std::string&) { return std::optional<embed::Identity>(); };
  document::add_vectors(tree, given, none, no_progress());
  const auto report = reembed("fake");
  REQUIRE(report);
  CHECK(report->previous == "elsewhere");
  CHECK(report->dim == 32);
  require_sound();
  // Now it is a store of that model: documents can be ingested beside them.
  ingest(3);
  CHECK(snapshot().documents() == 5);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "nothing to embed, nothing there") {
  CHECK_THROWS_AS(reembed("other"), Error);
  CHECK(!document::Snapshot::exists(tree.vectors(kShared)));
  ingest(2);
  document::RemoveOptions remove;
  remove.documents = {"d0", "d1"};
  document::remove(tree, remove);
  CHECK(!reembed("other"));
}
