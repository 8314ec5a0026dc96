#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "reef/core/error.h"
#include "reef/document/build.h"
#include "reef/document/export.h"
#include "reef/document/given_vectors.h"
#include "reef/document/ingest.h"
#include "reef/document/reembed.h"
#include "reef/document/shard_moves.h"
#include "reef/document/stores.h"
#include "reef/document/verify.h"
#include "reef/vector/npy.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
namespace fs = std::filesystem;

namespace {

const tree::Scope kShared = tree::Scope::shared();

std::unique_ptr<embed::Embedder> fake(const std::string&) { return std::make_unique<test::FakeEmbedder>(); }

std::string lines(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i)
    text += fmt::format("{{\"id\":\"d{0}\",\"text\":\"Boat {0} carries {1} barrels of oil.\"}}\n", i, i * 3);
  return text;
}

struct Fixture : test::TreeFixture {
  Fixture() {
    for (const char* name : {"a", "b", "c"}) fs::create_directories(dir / name);
    ingest("boats.jsonl", lines(0, 40));
  }
  document::IngestReport ingest(const std::string& name, const std::string& jsonl) {
    document::IngestOptions options;
    options.paths = {write(name, jsonl).string()};
    options.tags = {"boats"};
    return document::ingest(tree, options, fake, no_progress());
  }
  void list(const std::string& names) {
    io::replace_file(tree.config("system.yaml"), fmt::format("storage:\n  shards: [{}]\n", names));
    io::replace_file(tree.config("personas.yaml"), "personas:\n  alice:\n    shard: tree\n");
  }
  document::ShardPlan plan() { return document::plan_shards(tree, tree::Config::load(tree), {}); }
  document::ShardPlan apply(const std::string& names) {
    list(names);
    return document::apply_shards(tree, tree::Config::load(tree), {}, no_progress());
  }
  std::vector<tree::Part> parts() { return tree::parts_of(tree, kShared); }

  struct Chunk {
    std::string document, text, tags;
    std::vector<float> vector;
    friend bool operator==(const Chunk&, const Chunk&) = default;
  };
  /// All that is there, by id; ids must be unique over the parts.
  std::map<std::int64_t, Chunk> contents() {
    std::map<std::int64_t, Chunk> contents;
    for (const tree::Part& part : parts()) {
      document::Snapshot snapshot(part.folder, kShared);
      auto rows = snapshot.database().prepare(
          "SELECT c.id, d.name, c.text, c.vector_row, (SELECT group_concat(tag) FROM document_tags WHERE document = "
          "d.id) FROM chunks c JOIN documents d ON d.id = c.document");
      while (rows.step()) {
        const auto vector = snapshot.vectors().row(static_cast<std::uint64_t>(rows.integer(3)));
        const Chunk chunk{std::string(rows.text(1)),
                          std::string(rows.text(2)),
                          std::string(rows.text(4)),
                          {vector.begin(), vector.end()}};
        CHECK(contents.emplace(rows.integer(0), chunk).second);
        CHECK(tree::part_of_document(parts(), chunk.document) == index_of(part));
      }
    }
    return contents;
  }
  std::size_t index_of(const tree::Part& part) {
    const auto all = parts();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].shard == part.shard) return i;
    return all.size();
  }
  void require_sound() {
    const auto report = document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress());
    for (const auto& fault : report.faults) FAIL(fault.scope << " " << fault.file << ": " << fault.what);
    CHECK(report.vectors > 0);
    for (const char* place : {"tree/vectors", "a", "b", "c"})
      for (const auto& entry : fs::recursive_directory_iterator(dir / place))
        CHECK_MESSAGE(entry.path().filename().string().find(".moving") == std::string::npos, entry.path());
    const auto next = plan();
    CHECK(!next.split);
    CHECK(next.leftovers.empty());
    CHECK(next.moves.empty());
  }
  std::size_t stores() {
    std::size_t count = 0;
    for (const char* place : {"tree/vectors/shared", "a", "b", "c"})
      for (const auto& entry : fs::recursive_directory_iterator(dir / place))
        if (entry.path().filename() == "metadata.sqlite") ++count;
    return count;
  }
};

struct Silent : Progress {
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t) override {
    if (--left == 0) throw Error(Errc::interrupted, "enough");
  }
  void end() override {}
  int left = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "shared knowledge is split, split again, and brought together, with all ids and vectors") {
  const auto before = contents();
  CHECK(before.size() == 40);
  for (const std::string names : {"../a, ../b", "../a, ../b, ../c", "../b, ../c", "../a", "../c, ../a", ""}) {
    INFO(names);
    list(names);
    const auto planned = plan();
    const auto made = apply(names);
    const auto listed = static_cast<std::size_t>(std::count(names.begin(), names.end(), 'a') +
                                                 std::count(names.begin(), names.end(), 'b') +
                                                 std::count(names.begin(), names.end(), 'c'));
    REQUIRE(planned.split);
    REQUIRE(made.split);
    CHECK(planned.split->to == made.split->to);
    CHECK(made.split->to.size() == (listed < 2 ? 0 : listed));
    CHECK(made.unmoved.empty());
    CHECK(stores() == (listed < 2 ? 1 : listed));
    CHECK(contents() == before);
    require_sound();
    CHECK(!apply(names).split);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "a persona's move leaves the shared knowledge alone, and nothing ingested is nothing split") {
  list("../a, ../b");
  document::ShardOptions alice;
  alice.persona = "alice";
  CHECK(!document::plan_shards(tree, tree::Config::load(tree), alice).split);
  document::remove(tree, {.documents = {dir / "in/boats.jsonl"}});
  fs::remove_all(tree.vectors(kShared));
  fs::create_directory(tree.vectors(kShared));
  CHECK(!plan().split);
}

TEST_CASE_FIXTURE(Fixture, "work goes on over the parts") {
  apply("../a, ../b, ../c");
  CHECK(ingest("boats.jsonl", lines(0, 40)).unchanged == 1);
  CHECK(ingest("more.jsonl", lines(40, 80)).added == 40);
  CHECK(contents().size() == 80);
  CHECK(contents().rbegin()->first == 80);
  require_sound();
  // A document that is changed keeps to its part; one that is removed stays away.
  auto report = ingest("boats.jsonl", lines(0, 39) + "{\"id\":\"d39\",\"text\":\"Boat 39 sank.\"}\n");
  CHECK(report.replaced == 1);
  CHECK(document::remove(tree, {.documents = {"d3"}, .dry_run = true}).removed == std::vector<std::string>{"d3"});
  CHECK(document::remove(tree, {.documents = {"d3"}}).removed == std::vector<std::string>{"d3"});
  CHECK(ingest("boats.jsonl", lines(0, 39) + "{\"id\":\"d39\",\"text\":\"Boat 39 sank.\"}\n").unchanged == 1);
  CHECK(contents().size() == 79);
  require_sound();
  // An id is never given twice, not even after parts were made anew without the newest chunks.
  const std::int64_t newest = contents().rbegin()->first;
  CHECK(newest == 81);
  document::remove(tree, {.documents = {"d39"}});
  apply("../a, ../c");
  ingest("third.jsonl", lines(90, 91));
  CHECK(contents().rbegin()->first == newest + 1);
  CHECK(document::build(tree, document::BuildOptions(), no_progress()).rows == 79);
  require_sound();
  CHECK(document::remove(tree, {.documents = {dir / "in/more.jsonl"}}).removed.size() == 40);
  require_sound();
  const auto stat = document::stat(tree, {kShared});
  REQUIRE(stat.scopes.size() == 1);
  CHECK(stat.scopes[0].parts == 2);
  CHECK(stat.scopes[0].documents == 39);
  const auto copy = document::export_store(tree, {.to = dir / "copy"});
  for (const tree::Part& part : parts()) CHECK(fs::exists(dir / "copy" / part.shard / "metadata.sqlite"));
}

TEST_CASE_FIXTURE(Fixture, "what replaces all vectors at once is refused, with a way to do it") {
  apply("../a, ../b");
  CHECK_THROWS_WITH_AS(document::reembed(tree, {}, *fake("fake"), no_progress()),
                       doctest::Contains("split over 2 shards"), Error);
  document::BuildOptions factory;
  factory.factory = "Flat";
  CHECK_THROWS_WITH_AS(document::build(tree, factory, no_progress()), doctest::Contains("split over 2 shards"), Error);
}

TEST_CASE_FIXTURE(Fixture, "a folder that another cannot take the place of waits, and is named") {
  fs::rename(tree.vectors(kShared), dir / "elsewhere");
  fs::create_directory_symlink(dir / "elsewhere", tree.vectors(kShared));
  const auto report = apply("../a, ../b");
  CHECK(!report.split);
  REQUIRE(report.unmoved.size() == 1);
  CHECK(report.unmoved[0].why.find("symbolic link") != std::string::npos);
  CHECK(fs::exists(dir / "elsewhere/metadata.sqlite"));
}

TEST_CASE_FIXTURE(Fixture, "a folder in the place of a part's link is a part, and a split ends that") {
  apply("../a, ../b");
  const auto before = contents();
  const fs::path link = parts()[0].folder, target = fs::canonical(link);
  fs::remove(link);
  fs::copy(target, link, fs::copy_options::recursive);
  CHECK(contents() == before);
  const auto report = apply("../a, ../b, ../c");
  for (const auto& unmoved : report.unmoved) FAIL(unmoved.why);
  CHECK(parts().size() == 3);
  const auto after = contents();
  CHECK(after.size() == before.size());
  for (const auto& [id, chunk] : after) {
    CHECK(before.contains(id));
    CHECK(before.at(id).document == chunk.document);
    CHECK(before.at(id).text == chunk.text);
    CHECK(before.at(id).tags == chunk.tags);
    CHECK(before.at(id).vector == chunk.vector);
  }
}

TEST_CASE_FIXTURE(Fixture, "parts take a model's name from one another, and a digest from none") {
  for (int i = 0; i < 40; ++i) document::remove(tree, {.documents = {fmt::format("d{}", i)}});
  apply("../a, ../b");
  document::GivenOptions given;
  given.vectors = dir / "in/v.npy";
  given.metadata = write("v.jsonl", "{\"id\":\"one\",\"text\":\"One boat.\"}\n");
  given.embedding = "fake";
  vector::write_npy(given.vectors, std::vector<float>(32, 1), 32);
  const auto unknown = [](const std::string&) { return std::optional<embed::Identity>(); };
  document::add_vectors(tree, given, unknown, no_progress());
  ingest("more.jsonl", lines(100, 140));  // into both parts, with the model that is installed by now
  document::Stores stores(tree, kShared, std::chrono::milliseconds(0));
  REQUIRE(stores.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(stores[i].vectors().state().rows_total > 0);
    CHECK(stores[i].vectors().state().model_digest.empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "a part that is out of reach: nothing is written, the rest is read, the shard is named") {
  apply("../a, ../b");
  const std::string lost = parts()[0].shard;
  const fs::path place = fs::canonical(parts()[0].folder).parent_path();
  fs::rename(place, dir / "away");
  const auto stat = document::stat(tree, {kShared});
  REQUIRE(stat.missing.size() == 1);
  CHECK(stat.missing[0].shard == lost);
  CHECK(stat.missing[0].scope == "shared@" + lost);
  CHECK(stat.scopes[0].documents < 40);
  CHECK_THROWS_WITH_AS(ingest("more.jsonl", lines(40, 50)), doctest::Contains(lost.c_str()), Error);
  CHECK_THROWS_AS(document::remove(tree, {.documents = {"d3"}}), Error);
  const auto verified = document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress());
  REQUIRE(verified.faults.size() == 1);
  CHECK(verified.faults[0].scope == "shared@" + lost);
  // Another splitting needs all parts.
  const auto kept = apply("../c, " + std::string("../") + (place.filename() == "a" ? "b" : "a"));
  CHECK(!kept.split);
  REQUIRE(kept.unmoved.size() >= 1);
  // Mounted elsewhere.
  fs::rename(dir / "away", dir / "c2");
  const auto mended = apply("../c2, " + std::string("../") + (place.filename() == "a" ? "b" : "a"));
  CHECK(!mended.split);
  CHECK(mended.moves.size() == 1);
  CHECK(contents().size() == 40);
  const auto report = document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress());
  CHECK(report.faults.empty());
}

TEST_CASE_FIXTURE(Fixture, "a part whose link is lost is missed, and linked again") {
  apply("../a, ../b");
  const auto before = contents();
  const tree::Part lost = parts()[1];
  const fs::path shard = fs::canonical(lost.folder).parent_path();
  fs::remove(lost.folder);
  REQUIRE(parts().size() == 2);
  const auto stat = document::stat(tree, {kShared});
  REQUIRE(stat.missing.size() == 1);
  CHECK(stat.missing[0].shard == lost.shard);
  CHECK(stat.missing[0].what.find("link") != std::string::npos);
  CHECK_THROWS_WITH_AS(ingest("more.jsonl", lines(40, 50)), doctest::Contains("is gone"), Error);
  CHECK(document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress()).faults.size() == 1);
  CHECK(plan().moves.size() == 1);
  const auto mended = apply("../a, ../b");
  CHECK(!mended.split);
  CHECK(mended.moves.size() == 1);
  CHECK(contents() == before);
  CHECK(document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress()).faults.empty());
  // Nothing but the list came back.
  fs::remove_all(tree.vectors(kShared) / "parts");
  REQUIRE(parts().size() == 2);
  CHECK(document::stat(tree, {kShared}).missing.size() == 2);
  CHECK(apply("../a, ../b").moves.size() == 2);
  CHECK(contents() == before);
  // A folder of another splitting is not taken.
  fs::remove(lost.folder);
  io::replace_file(shard / "shared/.part", "0123456789abcdef\n");
  const auto unclear = apply("../a, ../b");
  CHECK(unclear.moves.empty());
  REQUIRE(unclear.unmoved.size() == 1);
  CHECK(unclear.unmoved[0].why.find("holds no part of this splitting") != std::string::npos);
  CHECK(fs::exists(shard / "shared/metadata.sqlite"));
}

TEST_CASE_FIXTURE(Fixture, "a damaged list of parts stops nothing, nor one beside a whole store") {
  io::replace_file(tree.vectors(kShared) / "parts.json", "{");
  CHECK(contents().size() == 40);
  CHECK(document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress()).faults.empty());
  apply("../a, ../b");
  const auto before = contents();
  io::replace_file(tree.vectors(kShared) / "parts.json", "{");
  CHECK(contents() == before);
  CHECK(document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress()).faults.size() == 1);
  CHECK(apply("../a, ../b, ../c").split);
  fs::rename(tree.vectors(kShared) / "parts", dir / "parts");
  fs::rename(tree.vectors(kShared) / "parts.json", dir / "parts.json");
  io::replace_file(tree.vectors(kShared) / "parts.json", "{");
  REQUIRE(document::stat(tree, {kShared}).missing.size() == 1);
  CHECK(document::stat(tree, {kShared}).missing[0].what.find("none of its parts") != std::string::npos);
  fs::rename(dir / "parts", tree.vectors(kShared) / "parts");
  fs::rename(dir / "parts.json", tree.vectors(kShared) / "parts.json");
  CHECK(document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress()).faults.empty());
}

TEST_CASE_FIXTURE(Fixture, "parts with vectors of two models are a fault") {
  apply("../a, ../b");
  io::Database database(parts()[1].folder / "metadata.sqlite", io::OpenMode::write);
  database.execute("UPDATE store SET model = 'other', model_digest = 'ff'");
  const auto report = document::verify(tree, {kShared}, std::chrono::milliseconds(0), no_progress());
  CHECK(std::any_of(report.faults.begin(), report.faults.end(),
                    [](const auto& fault) { return fault.what == "parts hold vectors of fake and of other"; }));
}

TEST_CASE_FIXTURE(Fixture, "an ended split leaves what was there; the next one begins anew") {
  const auto before = contents();
  for (const char* names : {"../a, ../b", "../b, ../c", ""}) {
    for (const int after : {1, 30, 60, 119}) {
      INFO(names, " ", after);
      list(names);
      Silent silent;
      silent.left = after;
      const auto code = [&] {
        try {
          document::apply_shards(tree, tree::Config::load(tree), {}, silent);
        } catch (const Error& error) {
          return error.code();
        }
        return Errc::failed;
      }();
      CHECK(code == Errc::interrupted);
      CHECK(contents() == before);
      CHECK(plan().leftovers.empty());
      CHECK(plan().split);
    }
    apply(names);
    CHECK(contents() == before);
    require_sound();
  }
}

TEST_CASE_FIXTURE(Fixture, "a store that is damaged is not split") {
  {
    io::Database database(tree.vectors(kShared) / "metadata.sqlite", io::OpenMode::write);
    database.execute("UPDATE documents SET name = name || x'00' WHERE id = 1");
    database.execute("DELETE FROM chunk_map");
  }
  CHECK_NOTHROW(apply("../a, ../b"));  // made anew from the chunks
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a folder of the same name that is not reef's stays") {
  fs::create_directories(dir / "a/shared");
  io::replace_file(dir / "a/shared/holiday.txt", "mine");
  apply("../a, ../b");
  CHECK(fs::exists(dir / "a/shared/holiday.txt"));
  CHECK(fs::exists(dir / "a/shared.2/metadata.sqlite"));
  CHECK_THROWS_WITH_AS(apply("../a, ../b, ../c"), doctest::Contains("in the way"), Error);
  apply("");
  CHECK(fs::exists(dir / "a/shared/holiday.txt"));
  CHECK(contents().size() == 40);
}

TEST_CASE("documents spread over shards evenly, and a shard more takes its share alone") {
  std::vector<tree::Part> three{{"0000000000000001", "a"}, {"0000000000000002", "b"}, {"0000000000000003", "c"}};
  std::vector<tree::Part> four = three;
  four.push_back({"0000000000000004", "d"});
  std::vector<int> counts(3);
  int moved = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = fmt::format("/srv/notes/{}.md", i);
    const auto old = tree::part_of_document(three, name), now = tree::part_of_document(four, name);
    ++counts[old];
    if (now == old) continue;
    CHECK(now == 3);
    ++moved;
  }
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);
  CHECK(std::abs(moved - 750) < 120);
}
