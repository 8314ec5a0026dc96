#include "reef/document/given_vectors.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <set>

#include "reef/core/error.h"
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
  /// Documents "d<first>", …, whose vectors are the fake embedder's of `word` and their number.
  document::GivenOptions given(std::size_t first, std::size_t count, const std::string& word = "boat") {
    std::string lines;
    std::vector<float> vectors;
    FakeEmbedder embedder;
    for (std::size_t i = first; i < first + count; ++i) {
      const std::string text = fmt::format("The {} number n{}.", word, i);
      lines += fmt::format("{{\"id\":\"d{}\",\"text\":\"{}\",\"tags\":[\"given\"]}}\n", i, text);
      vectors.resize(vectors.size() + 32);
      embedder.embed_query(text, std::span(vectors).last(32));
    }
    return files(lines, vectors);
  }
  document::GivenOptions files(const std::string& lines, const std::vector<float>& vectors, std::size_t dim = 32) {
    document::GivenOptions options;
    options.vectors = dir / "in/v.npy";
    options.metadata = write("v.jsonl", lines);
    vector::write_npy(options.vectors, vectors, dim);
    return options;
  }
  static std::optional<embed::Identity> find(const std::string& name) {
    if (name.empty() || name == "fake") return FakeEmbedder().identity();
    return std::nullopt;
  }
  document::GivenReport add(const document::GivenOptions& options) {
    return document::add_vectors(tree, options, find, no_progress());
  }
  document::GivenReport build(const document::GivenOptions& options) {
    return document::build_from_vectors(tree, options, find, no_progress());
  }
  template <typename Work>
  Error error_of(Work work) {
    try {
      work();
    } catch (const Error& error) {
      return error;
    }
    FAIL("nothing was refused");
    return Error(Errc::failed, "");
  }
  document::IngestReport ingest(const std::string& path) {
    document::IngestOptions options;
    options.paths = {path};
    return document::ingest(
        tree, options, [](const std::string&) { return std::make_unique<FakeEmbedder>(); }, no_progress());
  }
  void require_sound() {
    const auto report =
        document::verify(tree, document::scopes_of(tree, {"alice"}), std::chrono::milliseconds(0), no_progress());
    for (const auto& fault : report.faults) FAIL(fault.scope << " " << fault.file << ": " << fault.what);
  }
  document::Snapshot snapshot() { return {tree.vectors(kShared), kShared}; }
  std::int64_t documents() { return snapshot().documents(); }
  /// Name of the document whose vector is nearest to that of the text.
  std::string nearest(const std::string& text) {
    auto store = snapshot();
    std::vector<float> question(32);
    FakeEmbedder().embed_query(text, question);
    const auto hits = store.vectors().search(question, 1);
    REQUIRE(hits.size() == 1);
    return store.chunk(store.map().chunk_of_row(hits[0].row).value()).value().name;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "rows are added once, changed ones replaced") {
  auto report = add(given(0, 50));
  CHECK(report.added == 50);
  CHECK(report.model == "fake");
  CHECK(nearest("boat n7") == "d7");
  require_sound();
  report = add(given(0, 50));
  CHECK(!report.changed());
  CHECK(report.unchanged == 50);
  report = add(given(45, 10, "ship"));  // five old ids with other texts and vectors
  CHECK(report.added == 5);
  CHECK(report.replaced == 5);
  CHECK(documents() == 55);
  CHECK(nearest("ship n47") == "d47");
  require_sound();
}

TEST_CASE_FIXTURE(Fixture,
                  "an id that stands twice in a file is no other document's, and a refused run leaves no rows") {
  const std::vector<float> two{1, 0, 0, 0, 1, 0, 0, 0};
  auto options = files("{\"id\":\"a\",\"text\":\"One.\"}\n{\"id\":\"b\",\"text\":\"Two.\"}\n", two, 4);
  options.embedding = "four";
  build(options);
  options = files("{\"id\":\"a\",\"text\":\"One.\"}\n{\"id\":\"a\",\"text\":\"One.\"}\n", two, 4);
  options.embedding = "four";
  CHECK(std::string(error_of([&] { build(options); }).what()).find("'a'") != std::string::npos);
  CHECK(documents() == 2);
  require_sound();
  std::string lines;
  std::vector<float> many;
  for (int i = 0; i < 9000; ++i) {
    lines += fmt::format("{{\"id\":\"x{}\",\"text\":\"Row {}.\"}}\n", i, i);
    many.insert(many.end(), {1, 0, 0, static_cast<float>(i)});
  }
  many.back() = std::numeric_limits<float>::quiet_NaN();
  options = files(lines, many, 4);
  options.embedding = "four";
  error_of([&] { add(options); });
  CHECK(documents() == 2);
  require_sound();  // and no rows behind the committed ones
}

TEST_CASE_FIXTURE(Fixture, "the same text with another vector is a change") {
  auto options = files("{\"id\":\"a\",\"text\":\"One.\"}\n", {1, 0, 0, 0}, 4);
  options.embedding = "four";
  add(options);
  options = files("{\"id\":\"a\",\"text\":\"One.\"}\n", {0, 2, 0, 0}, 4);
  const auto report = add(options);
  CHECK(report.replaced == 1);
  CHECK(report.stretched == 1);
  CHECK(report.model == "four");
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "what cannot be used is refused by name, and nothing is changed") {
  add(given(0, 3));
  const auto refused = [&](const document::GivenOptions& options) {
    const Error error = error_of([&] { add(options); });
    CHECK(documents() == 3);
    require_sound();
    return std::string(error.what());
  };
  const auto says = [](const std::string& text, const std::string& part) {
    INFO(text);
    return text.find(part) != std::string::npos;
  };
  std::vector<float> two(64);
  two[0] = two[32] = 1;
  const std::string a = "{\"id\":\"a\",\"text\":\"A.\"}\n", b = "{\"id\":\"b\",\"text\":\"B.\"}\n";
  const std::string counts = refused(files(a, two));
  CHECK(says(counts, "v.npy holds 2 vectors"));
  CHECK(says(counts, "v.jsonl describes 1"));
  CHECK(says(refused(files(a + "\n{\"id\":\"b\",\"te\n", two)), "v.jsonl:3: not a JSON object"));
  CHECK(says(refused(files(a + "{\"text\":\"B.\"}\n", two)), "v.jsonl:2: \"id\" is missing"));
  CHECK(says(refused(files(a + "{\"id\":\"b\",\"text\":\" \"}\n", two)), "v.jsonl:2: \"text\" is empty"));
  CHECK(says(refused(files(a + a, two)), "v.jsonl:2: id 'a' comes a second time"));
  two[40] = NAN;
  CHECK(says(refused(files(a + b, two)), "v.npy: row 1 is not finite"));
  const std::string dims = refused(files(a + b, {1, 0, 0, 0, 0, 0, 0, 1}, 4));
  CHECK(says(dims, "4 dimensions"));
  CHECK(says(dims, "32 of fake"));
  auto other = given(0, 2);
  other.embedding = "bge";
  const std::string models = refused(other);
  CHECK(says(models, "fake"));
  CHECK(says(models, "bge"));
}

TEST_CASE_FIXTURE(Fixture, "the model of a new store is named, or the default one that fits") {
  auto options = files("{\"id\":\"a\",\"text\":\"A.\"}\n", {1, 0, 0, 0}, 4);
  CHECK(error_of([&] { add(options); }).code() == Errc::usage);
  options.embedding = "fake";  // installed, and of 32 dimensions
  CHECK(error_of([&] { add(options); }).code() == Errc::usage);
  CHECK(!document::Snapshot::exists(tree.vectors(kShared)));
  options.embedding = "elsewhere";
  add(options);
  CHECK(snapshot().vectors().state().model == "elsewhere");
  options.embedding.clear();
  CHECK(add(options).unchanged == 1);
}

TEST_CASE_FIXTURE(Fixture, "an id is ingested or given, never both") {
  const auto path = write("list.jsonl", "{\"id\":\"d1\",\"text\":\"Ingested.\"}\n");
  ingest(path.string());
  const Error error = error_of([&] { add(given(0, 3)); });
  CHECK(std::string(error.what()).find("v.jsonl:2: id 'd1' is a document of") != std::string::npos);
  CHECK(documents() == 1);
  add(given(2, 2));
  write("list.jsonl", "{\"id\":\"d1\",\"text\":\"Ingested.\"}\n{\"id\":\"d2\",\"text\":\"Ingested too.\"}\n");
  const auto report = ingest(path.string());
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].reason.find("id 'd2' already comes from vectors:") != std::string::npos);
  CHECK(documents() == 3);
  require_sound();
  // The file of their texts may be ingested as well: it takes none of its documents away.
  CHECK(ingest((dir / "in/v.jsonl").string()).faults.size() == 2);
  CHECK(documents() == 3);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "documents with given vectors are removed by id and by file, and come back when added") {
  const auto options = given(0, 10);
  add(options);
  document::RemoveOptions remove;
  remove.documents = {"d3"};
  CHECK(document::remove(tree, remove).removed == std::vector<std::string>{"d3"});
  CHECK(documents() == 9);
  require_sound();
  CHECK(add(options).added == 1);
  remove.documents = {options.metadata.string()};
  remove.dry_run = true;
  CHECK(document::remove(tree, remove).removed.size() == 10);
  remove.dry_run = false;
  CHECK(document::remove(tree, remove).removed.size() == 10);
  CHECK(documents() == 0);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "build puts the rows in the place of all, with a graph, and once") {
  add(given(0, 30));
  auto report = build(given(20, 40, "ship"));
  CHECK(report.added == 40);
  CHECK(report.removed == 30);
  CHECK(documents() == 40);
  CHECK(snapshot().vectors().state().rows_indexed == 40);
  CHECK(nearest("ship n20") == "d20");
  require_sound();
  report = build(given(20, 40, "ship"));
  CHECK(!report.changed());
  CHECK(!report.rebuilt);
  // Of another model and dimension.
  auto other = files("{\"id\":\"a\",\"text\":\"A.\"}\n", {1, 0, 0, 0}, 4);
  other.embedding = "elsewhere";
  CHECK(build(other).removed == 40);
  CHECK(snapshot().vectors().state().model == "elsewhere");
  CHECK(snapshot().vectors().state().dim == 4);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a build that fails leaves the old content and no file") {
  add(given(0, 30));
  const auto files_there = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(tree.vectors(kShared)))
      names.insert(entry.path().filename().string());
    return names;
  };
  auto bad = given(100, 5000);
  {
    std::ofstream lines(bad.metadata);
    for (int i = 0; i < 4999; ++i) lines << fmt::format("{{\"id\":\"e{}\",\"text\":\"E.\"}}\n", i);
    lines << "{\"id\":\"e1\",\"text\":\"E.\"}\n";  // the second e1, in the second batch
  }
  CHECK(std::string(error_of([&] { build(bad); }).what()).find("v.jsonl:5000: id 'e1'") != std::string::npos);
  CHECK(documents() == 30);
  CHECK(nearest("boat n7") == "d7");
  CHECK(add(given(0, 30)).unchanged == 30);
  for (const auto& name : files_there()) CHECK(name.find(".2.") == std::string::npos);
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "build refuses a scope that documents were ingested into") {
  ingest(write("a.txt", "Some text.").string());
  const Error error = error_of([&] { build(given(0, 3)); });
  CHECK(error.code() == Errc::usage);
  CHECK(std::string(error.what()).find("a.txt") != std::string::npos);
  CHECK(error.hint().find("reef-index add") != std::string::npos);
  CHECK(documents() == 1);
}

TEST_CASE_FIXTURE(Fixture, "readers see the old content or the new while a build runs") {
  add(given(0, 30));
  auto before = snapshot();
  build(given(30, 10));
  CHECK(before.documents() == 30);
  std::vector<float> question(32);
  FakeEmbedder().embed_query("boat n7", question);
  const auto hits = before.vectors().search(question, 1);
  REQUIRE(hits.size() == 1);
  CHECK(before.chunk(before.map().chunk_of_row(hits[0].row).value())->name == "d7");
  CHECK(documents() == 10);
}
