#include "reef/document/shard_moves.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "reef/core/error.h"
#include "reef/document/ingest.h"
#include "reef/document/internal/shard_publish.h"
#include "reef/document/store.h"
#include "reef/document/verify.h"
#include "support/fake_embedder.h"
#include "support/tree_fixture.h"

using namespace reef;
namespace fs = std::filesystem;

namespace {

struct Fixture : test::TreeFixture {
  Fixture() {
    fs::create_directories(dir / "a");
    fs::create_directories(dir / "b");
    write("note.md", "# Lease\n\nThe lease ends in March.\n\n## Keys\n\nThree keys are with the porter.\n");
    document::IngestOptions options;
    options.paths = {(dir / "in").string()};
    options.scope = alice;
    document::ingest(
        tree, options, [](const std::string&) { return std::make_unique<test::FakeEmbedder>(); }, no_progress());
  }
  tree::Scope alice = tree::Scope::persona("alice");
  fs::path link = tree.vectors(alice);

  void list(const std::string& names, const std::string& pin = "\"\"") {
    io::replace_file(tree.config("system.yaml"), fmt::format("storage:\n  shards: [{}]\n", names));
    io::replace_file(tree.config("personas.yaml"), fmt::format("personas:\n  alice:\n    shard: {}\n", pin));
  }
  document::ShardPlan plan() { return document::plan_shards(tree, tree::Config::load(tree), {}); }
  document::ShardPlan apply() { return document::apply_shards(tree, tree::Config::load(tree), {}, no_progress()); }
  void require_sound() {
    const auto report =
        document::verify(tree, {tree::Scope::shared(), alice}, std::chrono::milliseconds(0), no_progress());
    for (const auto& fault : report.faults) FAIL(fault.file << ": " << fault.what);
    CHECK(report.vectors > 0);
  }
  /// Nothing but the five files, their generations, and what shards are made of.
  void require_no_leftovers() {
    for (const char* place : {"tree/vectors", "a", "b"})
      for (const auto& entry : fs::recursive_directory_iterator(dir / place))
        CHECK_MESSAGE(entry.path().filename().string().find(".moving") == std::string::npos, entry.path());
    CHECK(plan().leftovers.empty());
    CHECK(plan().moves.empty());
  }
  std::map<std::string, std::string> contents(const fs::path& folder) {
    std::map<std::string, std::string> contents;
    for (const auto& entry : fs::directory_iterator(folder))
      if (const auto name = entry.path().filename().string(); name[0] != '.' && !name.starts_with("metadata.sqlite"))
        contents[name] = io::read_file(entry.path());
    return contents;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a store moves out of the tree, from shard to shard, and back") {
  const auto before = contents(link);
  CHECK(before.size() >= 6);
  for (const char* places : {"../a|../a", "../a, ../b|../b", "../b, ../a|../a", "../a|tree", "../b|../b", "|\"\""}) {
    const std::string text = places;
    const auto bar = text.find('|');
    list(text.substr(0, bar), text.substr(bar + 1));
    INFO(text);
    const auto planned = plan();
    REQUIRE(planned.moves.size() == 1);
    CHECK(planned.moves[0].bytes > 0);
    CHECK(fs::exists(link / "metadata.sqlite"));
    const auto made = apply();
    REQUIRE(made.moves.size() == 1);
    CHECK(made.moves[0].to_folder == planned.moves[0].to_folder);
    CHECK(fs::is_symlink(link) == (made.moves[0].to != "tree"));
    CHECK(contents(link) == before);
    CHECK(fs::equivalent(link / "vectors.npy", link / "vectors.1.npy"));  // still one file
    require_sound();
    require_no_leftovers();
    CHECK(apply().moves.empty());
  }
  CHECK(fs::is_empty(dir / "a"));
  CHECK(fs::is_empty(dir / "b"));
}

TEST_CASE_FIXTURE(Fixture, "a reader that has the old store open goes on, and the next one opens the new") {
  list("../a");
  document::Snapshot before(link, alice);
  const auto vectors = before.vectors().row(0)[0];
  apply();
  CHECK(before.vectors().row(0)[0] == vectors);
  CHECK(before.chunk(1).has_value());
  document::Snapshot after(link, alice);
  CHECK(after.chunk(1)->text == before.chunk(1)->text);
}

TEST_CASE_FIXTURE(Fixture, "a store that a run writes is not moved") {
  list("../a");
  const document::Store held(link, alice, std::chrono::milliseconds(0));
  try {
    apply();
    FAIL("moved");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
  }
  CHECK(!fs::is_symlink(link));
}

TEST_CASE_FIXTURE(Fixture, "a damaged store stays where it is, and the others move") {
  fs::create_directory(tree.vectors(tree::Scope::persona("bob")));
  fs::resize_file(link / "vectors.1.npy", 100);
  list("../a");
  const auto made = apply();
  REQUIRE(made.unmoved.size() == 1);
  CHECK(made.unmoved[0].persona == "alice");
  CHECK(made.unmoved[0].why.find("vectors.1.npy") != std::string::npos);
  CHECK(!fs::is_symlink(link));
  CHECK(fs::is_symlink(tree.vectors(tree::Scope::persona("bob"))));
  CHECK(!fs::exists(dir / "a/personas/alice"));
  CHECK(plan().leftovers.empty());
}

TEST_CASE_FIXTURE(Fixture, "a folder of another kind in a store keeps it where it is, and the others move") {
  fs::create_directory(tree.vectors(tree::Scope::persona("bob")));
  fs::create_directory(link / "notes");
  list("../a");
  CHECK(plan().moves.size() == 2);
  CHECK(document::shard_report(tree, tree::Config::load(tree)).personas.size() == 2);
  const auto made = apply();
  REQUIRE(made.unmoved.size() == 1);
  CHECK(made.unmoved[0].why.find("notes") != std::string::npos);
  CHECK(fs::exists(link / "notes"));
  CHECK(!fs::is_symlink(link));
  CHECK(made.moves.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "what ended moves leave goes, whatever it is") {
  list("../a");
  apply();
  const auto before = contents(link);
  const fs::path in_tree = link.parent_path(), in_shard = dir / "a/personas";
  // A copy that was not finished, an old one that was, in both places; a link on its way; a mark.
  fs::create_directory(in_shard / ".alice.moving-abcdef");
  fs::copy(in_shard / "alice", in_tree / ".alice.moving-ghijkl", fs::copy_options::recursive);
  fs::copy(in_shard / "alice", in_tree / ".alice.kept-ghijkl", fs::copy_options::recursive);
  fs::create_directory_symlink(dir / "nowhere", in_tree / ".alice.moving-mnopqr");
  io::replace_file(link / ".moving", "");
  list("../a, ../b", "../a");
  apply();
  fs::create_directories(dir / "b/personas");
  fs::copy(in_shard / "alice", dir / "b/personas/alice", fs::copy_options::recursive);
  io::replace_file(dir / "b/personas/alice/.moving", "");
  fs::create_directory(in_shard / "bob");  // no mark: not of a move
  CHECK(plan().leftovers.size() == 1);
  CHECK(apply().leftovers.size() == 1);
  CHECK(contents(link) == before);
  CHECK(fs::exists(in_shard / "bob"));
  require_sound();
  require_no_leftovers();
}

TEST_CASE_FIXTURE(Fixture, "a store between the two renames of a move comes back") {
  const auto before = contents(link);
  const fs::path kept = document::internal::kept_name(link.parent_path(), "alice");
  list("");
  fs::rename(link, kept);
  CHECK(tree::missing_stores(tree, alice).at(0).what.find("ended between two steps") != std::string::npos);
  CHECK_THROWS_WITH_AS(tree::require_in_reach(tree, alice), doctest::Contains("out of reach"), Error);
  CHECK(plan().moves.size() == 1);
  apply();
  CHECK(contents(link) == before);
  require_sound();
  require_no_leftovers();
  list("../a");
  fs::rename(link, kept);
  fs::create_directory(link);  // as reef-init does
  CHECK(tree::missing_stores(tree, alice).size() == 1);
  apply();
  CHECK(fs::is_symlink(link));
  CHECK(contents(link) == before);
  require_sound();
  require_no_leftovers();
}

TEST_CASE_FIXTURE(Fixture, "the only store of a persona is never removed") {
  list("../a");
  apply();
  fs::rename(dir / "a/personas/alice", dir / "a/personas/.alice.moving-abcdef");
  auto made = apply();
  CHECK(made.leftovers.empty());
  REQUIRE(!made.unmoved.empty());
  CHECK(made.unmoved[0].why.find("nothing is removed") != std::string::npos);
  CHECK(fs::exists(dir / "a/personas/.alice.moving-abcdef/metadata.sqlite"));
  CHECK(fs::is_symlink(link));
}

TEST_CASE_FIXTURE(Fixture, "a folder in the way is not written over") {
  list("../a");
  fs::create_directories(dir / "a");
  apply();
  list("../a", "tree");
  apply();
  fs::create_directories(dir / "a/personas/alice");
  io::replace_file(dir / "a/personas/alice/mine.txt", "mine");
  list("../a");
  CHECK_THROWS_WITH_AS(apply(), doctest::Contains("in the way"), Error);
  CHECK(!fs::is_symlink(link));
  CHECK(io::read_file(dir / "a/personas/alice/mine.txt") == "mine");
  CHECK(!fs::exists(dir / "a/personas/alice/metadata.sqlite"));
  require_sound();
}

TEST_CASE_FIXTURE(Fixture, "a shard out of reach: its personas stay, nothing is made in their place") {
  list("../a");
  apply();
  fs::rename(dir / "a", dir / "unmounted");
  fs::create_directory(dir / "a");
  list("../b");
  const auto made = apply();
  CHECK(made.moves.empty());
  REQUIRE(made.unmoved.size() == 1);
  CHECK(made.unmoved[0].why.find((dir / "a").string()) != std::string::npos);
  CHECK(fs::is_symlink(link));
  CHECK(fs::is_empty(dir / "a"));
  const auto stat = document::stat(tree, {tree::Scope::shared(), alice});
  CHECK(stat.scopes.empty());
  REQUIRE(stat.missing.size() == 1);
  CHECK(stat.missing[0].scope == "persona:alice");
  const auto verified = document::verify(tree, {alice}, std::chrono::milliseconds(0), no_progress());
  REQUIRE(verified.faults.size() == 1);
  CHECK(verified.faults[0].what.find("out of reach") != std::string::npos);
  document::IngestOptions options;
  options.paths = {(dir / "in").string()};
  options.scope = alice;
  const auto none = [](const std::string&) -> std::unique_ptr<embed::Embedder> { return nullptr; };
  CHECK_THROWS_WITH_AS(document::ingest(tree, options, none, no_progress()), doctest::Contains("out of reach"), Error);
  CHECK(fs::is_empty(dir / "a"));
}

TEST_CASE("names of moves are told from those of personas") {
  using document::internal::persona_of;
  CHECK(persona_of(".alice.moving-abcdef", "moving") == "alice");
  CHECK(persona_of(".a.b-c.moving-abcdef", "moving") == "a.b-c");
  CHECK(persona_of(".alice.kept-abcdef", "moving").empty());
  CHECK(persona_of(".alice.kept-abcdef", "kept") == "alice");
  for (const char* name : {"alice", ".moving-abcdef", ".lock", "alice.moving-abcdef", ".Alice.moving-a", "..moving-a"})
    CHECK_MESSAGE(persona_of(name, "moving").empty(), name);
}
