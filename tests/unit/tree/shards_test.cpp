#include "reef/tree/shards.h"
#include "reef/tree/parts.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "reef/io/file.h"
#include "support/tree_fixture.h"

using namespace reef;
using namespace reef::tree;

namespace {

struct Fixture : test::TreeFixture {
  std::string system, pins;

  fs::path folder(const std::string& name) {
    fs::create_directories(dir / name);
    return dir / name;
  }
  void list(const std::vector<std::string>& names) {
    std::string paths;
    for (const std::string& name : names)
      paths += fmt::format("{}{}", paths.empty() ? "" : ", ", (dir / name).string());
    io::replace_file(tree.config("system.yaml"), fmt::format("storage:\n  shards: [{}]\n", paths));
  }
  void pin(const std::string& to) {
    io::replace_file(tree.config("personas.yaml"), fmt::format("personas:\n  alice:\n    shard: {}\n", to));
  }
  Config config() const { return Config::load(tree); }
  ShardMap load(const Config& config) const { return ShardMap::load(tree, config); }
  /// As `shard apply` does.
  void begin() {
    const Config now = config();
    auto map = load(now);
    map.begin_fresh();
    map.record_paths();
  }
  std::string error_of_load() {
    try {
      const Config now = config();
      load(now).wanted("alice");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::usage);
      CHECK_FALSE(error.hint().empty());
      return error.what();
    }
    return "";
  }
  fs::path link() const { return tree.vectors(Scope::persona("alice")); }
  void link_to(const fs::path& store) {
    fs::create_directories(store);
    fs::remove(link());
    fs::create_directory_symlink(store, link());
  }
  std::map<std::string, std::string> homes(int count) {
    const Config now = config();
    const auto map = load(now);
    std::map<std::string, std::string> homes;
    for (int i = 0; i < count; ++i) homes[fmt::format("p{}", i)] = map.wanted(fmt::format("p{}", i)).shard;
    return homes;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "without shards every persona belongs into the tree") {
  const Config now = config();
  const auto map = load(now);
  CHECK(map.shards().empty());
  CHECK(map.wanted("alice").kind == Place::Kind::tree);
  CHECK(map.place("alice").kind == Place::Kind::tree);
  CHECK(map.place("alice").there);
  CHECK(map.place("bob").kind == Place::Kind::none);
}

TEST_CASE_FIXTURE(Fixture, "one shard more takes its share of the personas, and moves no others") {
  for (const char* name : {"a", "b", "c", "d"}) folder(name);
  list({"a", "b", "c"});
  const auto planned = homes(2000);
  begin();
  const auto before = homes(2000);
  CHECK(planned == before);  // what a plan said holds once the shards are begun
  list({"d", "a", "b", "c"});
  begin();
  const auto after = homes(2000);
  std::map<std::string, int> sizes;
  int moved = 0;
  const Config now = config();
  const std::string added = load(now).shards().front().id;
  for (const auto& [persona, shard] : after) {
    ++sizes[shard];
    if (shard == before.at(persona)) continue;
    ++moved;
    CHECK(shard == added);
  }
  CHECK(sizes.size() == 4);
  for (const auto& [shard, size] : sizes) CHECK_MESSAGE(std::abs(size - 500) < 100, size);
  CHECK(std::abs(moved - 500) < 100);
}

TEST_CASE_FIXTURE(Fixture,
                  "a shard keeps its id where its drive is mounted elsewhere, and links are known to be of it") {
  folder("a"), folder("b");
  list({"a", "b"});
  begin();
  const auto before = homes(50);
  link_to(dir / "a/personas/alice");
  const Config old = config();
  const std::string id = load(old).place("alice").shard;
  CHECK(load(old).find(id)->path == dir / "a");

  fs::rename(dir / "a", dir / "moved");
  list({"b", "moved"});
  CHECK(homes(50) == before);
  const Config now = config();
  auto place = load(now).place("alice");
  CHECK(place.shard == id);
  CHECK(place.there);
  CHECK(place.relink);
  CHECK(place.folder == dir / "moved/personas/alice");

  // Two drives that changed places.
  fs::rename(dir / "moved", dir / "a");
  list({"a", "b"});
  fs::rename(dir / "a", dir / "x");
  fs::rename(dir / "b", dir / "a");
  fs::rename(dir / "x", dir / "b");
  const Config swapped = config();
  place = load(swapped).place("alice");
  CHECK(place.shard == id);
  CHECK(place.there);
  CHECK(place.folder == dir / "b/personas/alice");
  CHECK(homes(50) == before);
}

TEST_CASE_FIXTURE(Fixture, "an empty mount point is a missing shard, never a new one") {
  folder("a"), folder("b");
  list({"a", "b"});
  begin();
  const auto before = homes(50);
  link_to(dir / "a/personas/alice");
  fs::rename(dir / "a", dir / "unmounted");
  folder("a");
  const Config now = config();
  auto map = load(now);
  CHECK(map.shards()[0].state == Shard::State::missing);
  CHECK(map.shards()[0].why.find("shard.json") != std::string::npos);
  CHECK(homes(50) == before);
  CHECK(map.place("alice").shard == map.shards()[0].id);
  CHECK(!map.place("alice").there);
  map.begin_fresh();
  CHECK(!fs::exists(dir / "a/shard.json"));

  const auto all_missing = missing_stores(tree, Scope::persona("alice"));
  REQUIRE(all_missing.size() == 1);
  const auto* const missing = all_missing.data();
  CHECK(missing->shard == map.shards()[0].id);
  CHECK(missing->what.find((dir / "a").string()) != std::string::npos);
  CHECK_THROWS_AS(require_in_reach(tree, Scope::persona("alice")), Error);
  CHECK(missing_stores(tree, Scope::shared()).empty());
  CHECK(missing_stores(tree, Scope::persona("bob")).empty());

  // A new drive in the place of one that is known elsewhere gets an id of its own.
  list({"a", "unmounted"});
  const Config both = config();
  CHECK(load(both).shards()[0].state == Shard::State::fresh);
  CHECK(load(both).shards()[0].id != load(both).shards()[1].id);
}

TEST_CASE_FIXTURE(Fixture, "a pin overrides the hash, by path, by id, or to stay in the tree") {
  folder("a"), folder("b");
  list({"a", "b"});
  begin();
  for (const char* name : {"a", "b"}) {
    pin((dir / name).string());
    const Config now = config();
    CHECK(load(now).wanted("alice").folder == dir / name / "personas/alice");
    const std::string id = load(now).wanted("alice").shard;
    pin("\"" + id + "\"");
    const Config by_id = config();
    CHECK(load(by_id).wanted("alice").shard == id);
    CHECK(load(by_id).is_pinned("alice"));
  }
  pin("tree");
  const Config now = config();
  CHECK(load(now).wanted("alice").kind == Place::Kind::tree);
  pin("/nowhere");
  CHECK(error_of_load().find("personas.yaml:3: personas.alice.shard: '/nowhere' is no shard") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "folders that cannot be shards are refused by name") {
  folder("a");
  list({"a"});
  begin();
  SUBCASE("listed twice") {
    fs::create_directory_symlink(dir / "a", dir / "alias");
    list({"a", "alias"});
    CHECK(error_of_load().find("listed twice") != std::string::npos);
  }
  SUBCASE("the tree's own") {
    list({"tree/vectors"});
    CHECK(error_of_load().find("the tree's own folder") != std::string::npos);
  }
  SUBCASE("among the tree's stores, whose folders a move replaces") {
    folder("tree/vectors/shared/drive");
    fs::create_directory_symlink(dir / "tree/vectors/shared/drive", dir / "alias");
    for (const char* path : {"tree/vectors/shared", "tree/vectors/shared/drive", "tree/vectors/none/yet", "alias"}) {
      list({path});
      CHECK(error_of_load().find("among the stores of the tree") != std::string::npos);
    }
  }
  SUBCASE("one in the other") {
    folder("a/b");
    list({"a", "a/b"});
    CHECK(error_of_load().find("lies in the other") != std::string::npos);
    list({"a/b", "a"});
    CHECK(error_of_load().find("lies in the other") != std::string::npos);
  }
  SUBCASE("a drive that goes between the look at it and the move") {
    list({"a"});
    const Config now = config();
    const auto map = load(now);
    const std::string id = map.shards()[0].id;
    CHECK_NOTHROW(map.require_mounted(id));
    fs::rename(dir / "a", dir / "away");
    CHECK_THROWS_WITH_AS(map.require_mounted(id), doctest::Contains("is gone from"), Error);
    fs::create_directory(dir / "a");  // the bare mount point
    CHECK_THROWS_AS(map.require_mounted(id), Error);
  }
  SUBCASE("a copy of another shard") {
    fs::copy(dir / "a", dir / "copy", fs::copy_options::recursive);
    list({"a", "copy"});
    CHECK(error_of_load().find("the same shard") != std::string::npos);
  }
  SUBCASE("another tree's") {
    fs::remove(tree.root() / "vectors/shards.json");
    CHECK(error_of_load().find("a shard of another tree") != std::string::npos);
  }
  SUBCASE("stores without a shard.json") {
    folder("other/personas");
    list({"a", "other"});
    CHECK(error_of_load().find("no shard.json") != std::string::npos);
  }
  SUBCASE("a damaged shard.json") {
    for (const char* text :
         {"", "{", "{\"id\":\"x\"}", "[]", "{\"id\":\"../../etc/passwd00\",\"tree\":\"0123456789abcdef\"}"}) {
      io::replace_file(dir / "a/shard.json", text);
      const Config now = config();
      CHECK_THROWS_WITH_AS(load(now), doctest::Contains("shard.json"), Error);
    }
  }
  SUBCASE("a relative path counts from the root, an absent folder is missing") {
    io::replace_file(tree.config("system.yaml"), "storage:\n  shards: [../a, ../none]\n");
    const Config now = config();
    const auto map = load(now);
    CHECK(map.shards()[0].path == dir / "a");
    CHECK(map.shards()[0].state == Shard::State::present);
    CHECK(map.shards()[1].state == Shard::State::missing);
  }
}

TEST_CASE_FIXTURE(Fixture, "a link that reef did not make is left alone") {
  folder("a");
  list({"a"});
  begin();
  link_to(dir / "own/drive");
  const Config now = config();
  CHECK(load(now).place("alice").kind == Place::Kind::elsewhere);
  CHECK(load(now).place("alice").there);
}

TEST_CASE_FIXTURE(Fixture, "a shard that is not listed any more is known until it holds nothing") {
  folder("a"), folder("b");
  list({"a", "b"});
  begin();
  list({"b"});
  const Config now = config();
  auto map = load(now);
  REQUIRE(map.shards().size() == 2);
  CHECK(!map.shards()[1].listed);
  fs::create_directories(dir / "a/personas/alice");
  const std::string id = map.shards()[1].id;
  map.forget(map.shards()[0].id);  // listed: stays
  map.forget(id);
  CHECK(load(now).shards().size() == 2);
  fs::remove(dir / "a/personas/alice");
  map.forget(id);
  CHECK(load(now).shards().size() == 1);
  CHECK(fs::is_empty(dir / "a"));
}

TEST_CASE_FIXTURE(Fixture, "what is opened while its place changes is opened again") {
  link_to(dir / "one");
  folder("two");
  int opened = 0;
  const auto result = opened_in_place(link(), [&] {
    const auto place = fs::read_symlink(link());
    if (++opened == 1) {
      fs::remove(link());
      fs::create_directory_symlink(dir / "two", link());
      throw Error(Errc::failed, "gone");
    }
    return std::make_unique<fs::path>(place);
  });
  CHECK(*result == dir / "two");
  CHECK(opened == 2);
  CHECK_THROWS_AS(opened_in_place(link(), []() -> std::unique_ptr<int> { throw Error(Errc::failed, "damaged"); }),
                  Error);
}
