#include "reef/model/cache.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/key_lock.h"
#include "reef/model/internal/cache_policy.h"
#include "reef/model/internal/model_cache.h"
#include "reef/model/library.h"
#include "support/wait_until.h"
#include "unit/model/cache_fixture.h"

using namespace reef;
using namespace reef::model;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

using Fixture = test::CacheFixture;
using internal::CachedFile;
using Names = std::vector<std::string>;

namespace {

const Time kNow = parse_time("2026-11-30T12:00:00Z");

CachedFile cached(const char* digest, std::chrono::milliseconds idle, bool is_pinned = false) {
  return {digest, 1, kNow - idle, is_pinned};
}

Names order_of(std::vector<CachedFile> files, const internal::CacheLimits& limits = {}) {
  Names names;
  for (const CachedFile& file : internal::eviction_order(std::move(files), kNow, limits)) names.push_back(file.digest);
  return names;
}

const CachedModelFile& file_of(const CacheStatus& status, const std::string& model) {
  const auto file = std::find_if(status.files.begin(), status.files.end(), [&](const CachedModelFile& candidate) {
    return std::find(candidate.models.begin(), candidate.models.end(), model) != candidate.models.end();
  });
  REQUIRE(file != status.files.end());
  return *file;
}

/// With models.yaml, too.
tree::Config with(const Fixture& f, const std::string& models, const std::string& system) {
  test::write(f.tree.config("models.yaml"), models);
  test::write(f.tree.config("system.yaml"), system);
  return tree::Config::load(f.tree, {"system", "models"});
}

LoadResult load(const Fixture& f, const tree::Config& config, const std::string& name) {
  return load_model(f.tree, config, {.name = name, .strategy = LoadStrategy::full, .threads = 2}, no_progress());
}

ino_t inode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_ino;
}

/// Every name below a folder with its times.
std::map<std::string, std::string> snapshot_of(const fs::path& folder) {
  std::map<std::string, std::string> snapshot;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat status {};
    REQUIRE(::lstat(entry.path().c_str(), &status) == 0);
    snapshot[entry.path()] = std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec) +
                             " " + std::to_string(status.st_size);
  }
  return snapshot;
}

}  // namespace

TEST_CASE("a file is HOT for less than hot_seconds, WARM for less than warm_seconds, COLD then") {
  const internal::CacheLimits limits;
  const auto tier = [&](std::chrono::milliseconds idle) { return internal::tier_of(kNow - idle, kNow, limits); };
  CHECK(tier(0s) == CacheTier::hot);
  CHECK(tier(59999ms) == CacheTier::hot);
  CHECK(tier(60s) == CacheTier::warm);
  CHECK(tier(599999ms) == CacheTier::warm);
  CHECK(tier(600s) == CacheTier::cold);
  CHECK(tier(-3600s) == CacheTier::hot);  // the clock was set back
}

TEST_CASE("a HOT file never goes, whatever else is there") {
  CHECK(order_of({cached("a", 59999ms), cached("b", 0s), cached("c", -5s)}).empty());
  CHECK(order_of({cached("a", 10s)}, {.hot = 10s, .warm = 20s}) == Names{"a"});
}

TEST_CASE("COLD files go before WARM ones") {
  CHECK(order_of({cached("warm", 599s), cached("cold", 600s)}) == Names{"cold", "warm"});
  CHECK(order_of({cached("cold", 600s), cached("warm", 599s)}) == Names{"cold", "warm"});
}

TEST_CASE("within a tier the file goes first that was not used for longest, and equal ones in a fixed order") {
  CHECK(order_of({cached("c2", 700s), cached("c3", 800s), cached("c1", 601s)}) == Names{"c3", "c2", "c1"});
  CHECK(order_of({cached("w1", 61s), cached("w2", 62s)}) == Names{"w2", "w1"});
  CHECK(order_of({cached("b", 700s), cached("a", 700s)}) == Names{"a", "b"});
}

TEST_CASE("a pinned file never goes, however long it was not used") {
  CHECK(order_of({cached("pinned", 90000s, true), cached("cold", 600s)}) == Names{"cold"});
}

TEST_CASE("a pin names a model with or without its folder, and no other one") {
  CHECK(internal::is_named("base/a", {"a"}));
  CHECK(internal::is_named("base/a", {"x", "base/a"}));
  CHECK_FALSE(internal::is_named("base/a", {"adapters/a", "b", ""}));
}

TEST_CASE("default_embedding and models that the configuration pins are shown as HOT pinned, and stay") {
  Fixture f;
  for (const char* name : {"a", "b", "c", "d"}) f.add(name);
  const tree::Config config =
      with(f, "default_embedding: a\nmodels:\n  b:\n    pinned: true\n", "cache:\n  model:\n    cap_bytes: 17MiB\n");
  for (const char* name : {"a", "b", "c"}) load(f, config, name);
  f.age(5000s);
  const CacheStatus status = cache_status(f.tree, config, false);
  CHECK(file_of(status, "base/a").tier == "HOT");
  CHECK(file_of(status, "base/a").is_pinned);
  CHECK(file_of(status, "base/b").is_pinned);
  CHECK(file_of(status, "base/c").tier == "COLD");
  CHECK(to_text(status).find("base/a  5.00 MiB  HOT pinned") != std::string::npos);
  load(f, config, "d");  // c went, though all were unused for as long
  CHECK(f.cached() == Names{"base/a", "base/b", "base/d"});
  CHECK_THROWS_WITH_AS(unpin_model(f.tree, config, "a"), doctest::Contains("pinned by the configuration"), Error);
}

TEST_CASE("when nothing may go the error names every model, its size, and why it stays") {
  Fixture f;
  for (const char* name : {"a", "b", "c", "d"}) f.add(name);
  f.settings = "cache:\n  model:\n    cap_bytes: 17MiB\n";
  const io::UniqueFd held = io::open_file(f.load("a").folder / "model.safetensors", O_RDONLY);
  f.load("b");
  f.age(5000s);
  pin_model(f.tree, f.config(), "b");
  f.load("c");
  try {
    f.load("d");
    FAIL("d was loaded");
  } catch (const Error& error) {
    const std::string what = error.what();
    CAPTURE(what);
    CHECK(what.find("the model cache has no room for base/d: ") == 0);
    CHECK(what.find("base/a (5.00 MiB) is in use by ") != std::string::npos);
    CHECK(what.find("(" + std::to_string(::getpid()) + ")") != std::string::npos);
    CHECK(what.find("base/b (5.00 MiB) is pinned") != std::string::npos);
    CHECK(what.find("base/c (5.00 MiB) was used less than ") != std::string::npos);
    CHECK(error.hint().find("unpin") != std::string::npos);
  }
  CHECK(f.leftovers().empty());
}

TEST_CASE("a pinned model is evicted only by force") {
  Fixture f;
  f.add("a");
  f.load("a");
  pin_model(f.tree, f.config(), "a");
  CHECK_THROWS_WITH_AS(evict_model(f.tree, f.config(), {.name = "a"}), "base/a is pinned", Error);
  CHECK(f.cached() == Names{"base/a"});
  CHECK(evict_model(f.tree, f.config(), {.name = "a", .force = true}).freed_bytes > test::kWeights);
  CHECK(f.cached().empty());
  CHECK_FALSE(evict_model(f.tree, f.config(), {.name = "a"}).has_changed);  // pinned, but not there
}

TEST_CASE("a file that another model of the cache has, too, stays until that one is evicted, or by force") {
  Fixture f;
  f.add("a");
  import_model(f.tree, f.config(), {.source = f.dir / "in/a", .name = "twin"}, no_progress());
  const auto load_both = [&] {
    f.load("a");
    CHECK(f.load("twin").bytes_read() == 0);
  };
  load_both();
  const CacheChange planned = evict_model(f.tree, f.config(), {.name = "a", .dry_run = true});
  CHECK(planned.has_changed);
  CHECK(file_of(cache_status(f.tree, f.config(), false), "base/a").models == Names{"base/a", "base/twin"});
  const CacheChange change = evict_model(f.tree, f.config(), {.name = "a"});
  CHECK(change.has_changed);
  CHECK(change.freed_bytes == 0);
  REQUIRE(change.kept.size() == 1);
  CHECK(to_text(change).find("model.safetensors stays: base/twin has it, too\n") == 0);
  CHECK(file_of(cache_status(f.tree, f.config(), false), "base/twin").models == Names{"base/twin"});
  CHECK_FALSE(evict_model(f.tree, f.config(), {.name = "a"}).has_changed);
  CHECK(evict_model(f.tree, f.config(), {.name = "twin"}).freed_bytes > test::kWeights);
  load_both();
  CHECK(evict_model(f.tree, f.config(), {.name = "a", .force = true}).freed_bytes > test::kWeights);
  CHECK(f.cached().empty());
  load_both();
  fs::remove_all(f.tree.models("base") / "twin");  // it has nothing any more
  CHECK(evict_model(f.tree, f.config(), {.name = "a"}).freed_bytes > test::kWeights);
}

TEST_CASE("a dry run of evict tells what would go, and who is in its way") {
  Fixture f;
  f.add("a");
  f.load("a");
  CHECK(evict_model(f.tree, f.config(), {.name = "a", .dry_run = true}).freed_bytes > test::kWeights);
  CHECK(f.cached() == Names{"base/a"});
  const io::UniqueFd held = io::open_file(f.load("a").folder / "model.safetensors", O_RDONLY);
  CHECK_THROWS_WITH_AS(evict_model(f.tree, f.config(), {.name = "a", .dry_run = true}),
                       doctest::Contains("model.safetensors is in use by "), Error);
}

TEST_CASE("status writes nothing, leaves what killed runs left, and needs neither ledger nor cache") {
  Fixture f;
  const CacheStatus none = cache_status(f.tree, f.config(), true);
  CHECK(none.files.empty());
  CHECK(fs::is_empty(f.tree.cache()));
  f.add("a");
  f.load("a");
  test::write(f.tree.model_cache() / ".loading-1234", "half");
  io::Database(f.tree.cache() / "model_cache.sqlite", io::OpenMode::write)
      .execute("INSERT INTO file VALUES ('1234', 7000000, 0, 4127)");
  const auto before = snapshot_of(f.tree.cache());
  CHECK(cache_status(f.tree, f.config(), false).files.size() == 1);  // nobody loads 1234 any more
  CHECK(snapshot_of(f.tree.cache()) == before);
  {
    const io::KeyLock loader(f.tree.cache() / "model_cache.lock", "1234");
    const CacheStatus status = cache_status(f.tree, f.config(), false);
    REQUIRE(status.files.size() == 2);
    CHECK(std::any_of(status.files.begin(), status.files.end(),
                      [](const CachedModelFile& file) { return file.tier == "LOADING"; }));
  }
  for (const char* suffix : {"", "-wal", "-shm"})
    fs::remove(f.tree.cache() / ("model_cache.sqlite" + std::string(suffix)));
  const CacheStatus without = cache_status(f.tree, f.config(), false);
  REQUIRE(without.files.size() == 1);
  CHECK(without.files[0].models.empty());
  CHECK_FALSE(fs::exists(f.tree.cache() / "model_cache.sqlite"));
  test::write(f.tree.cache() / "model_cache.sqlite", std::string(5000, 'x'));
  const CacheStatus damaged = cache_status(f.tree, f.config(), false);
  CHECK(damaged.files.size() == 1);
  REQUIRE(damaged.notes.size() == 1);
  CHECK(damaged.notes[0].find("is damaged") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(damaged))["notes"].size() == 1);
  CHECK(io::read_file(f.tree.cache() / "model_cache.sqlite") == std::string(5000, 'x'));
}

TEST_CASE(
    "a damaged ledger is made again in its place, for those too who have it open, and pins are kept if possible") {
  Fixture f;
  for (const char* name : {"a", "b"}) f.add(name);
  f.load("a");
  pin_model(f.tree, f.config(), "a");
  const fs::path file = f.tree.cache() / "model_cache.sqlite";
  const ino_t inode = inode_of(file);
  const auto overwrite = [&](std::size_t from, std::size_t bytes) {
    const io::UniqueFd fd = io::open_file(file, O_WRONLY);
    io::pwrite_all(fd.get(), std::string(bytes, '\x5a'), from, file);
  };
  SUBCASE("no database") { overwrite(0, 4096); }
  SUBCASE("the pages behind the first") {
    REQUIRE(fs::file_size(file) > 16384);
    overwrite(16384, fs::file_size(file) - 16384);
  }
  SUBCASE("the pages of what is cached") {
    overwrite(16384, std::size_t{4} * 16384);  // tables and indexes of file and user come before those of pins
    f.load("b");
    CHECK_FALSE(pin_model(f.tree, f.config(), "a").has_changed);
  }
  CHECK(f.load("a").bytes_read() == 0);
  f.load("b");
  CHECK(f.load("b").bytes_read() == 0);
  CHECK(inode_of(file) == inode);
  CHECK(io::Database(file, io::OpenMode::read).integrity().empty());
  CHECK(f.cached() == Names{"base/a", "base/b"});
}

TEST_CASE("what another process writes counts, though the ledger that knew of it was lost") {
  Fixture f;
  f.add("a");
  f.load("a");
  f.age(5000s);
  const io::KeyLock other(f.tree.cache() / "model_cache.lock", "1234");
  test::write(f.tree.model_cache() / ".loading-1234", std::string(9 << 20, 'x'));
  f.add("b");  // 12 MiB in all: no room beside 9 MiB
  CHECK_THROWS_WITH_AS(f.load("b"), doctest::Contains("1234 (9.00 MiB) is being loaded"), Error);
  CHECK(fs::exists(f.tree.model_cache() / ".loading-1234"));
}

TEST_CASE(
    "a file is removed after the transaction that evicts it: the ledger is free meanwhile, and loads wait for it") {
  Fixture f;
  for (const char* name : {"a", "b"}) f.add(name);
  const std::string digest = f.load("a").files[0].place.filename();
  auto removal = std::make_unique<io::KeyLock>(f.tree.cache() / "model_cache.lock", "removal");  // nobody removes now
  internal::ModelCache cache(f.tree, f.config());
  std::thread evicting([&] { cache.evict(digest); });
  const auto is_evicted = [&] {
    io::Database ledger(f.tree.cache() / "model_cache.sqlite", io::OpenMode::write);
    io::Transaction transaction(ledger);
    io::Statement row = ledger.prepare("SELECT 1 FROM file");
    return !row.step();
  };
  CHECK(test::wait_until(is_evicted));
  REQUIRE(f.leftovers().size() == 1);  // its bytes are still there
  CHECK(io::is_temporary_name(f.leftovers()[0]));
  std::thread loading([&] { f.load("b"); });
  CHECK(f.cached().empty());
  removal.reset();
  evicting.join();
  loading.join();
  CHECK(f.leftovers().empty());
  CHECK(f.cached() == Names{"base/b"});
}

TEST_CASE("rows of files that are gone, as after a restart of the machine, are forgotten") {
  Fixture f;
  for (const char* name : {"a", "b"}) f.add(name);
  const fs::path place = f.load("a").files[0].place;
  fs::remove(place);
  CHECK(f.cached().empty());
  f.load("b");
  io::Database ledger(f.tree.cache() / "model_cache.sqlite", io::OpenMode::read);
  io::Statement count = ledger.prepare("SELECT count(*), (SELECT count(*) FROM user) FROM file");
  REQUIRE(count.step());
  CHECK(count.integer(0) == 1);
  CHECK(count.integer(1) == 1);
}
