#include "reef/model/load.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/cache.h"
#include "reef/model/import.h"
#include "reef/model/internal/model_cache.h"
#include "unit/model/cache_fixture.h"
#include "unit/model/interrupting.h"
#include "unit/model/sample.h"

using namespace reef;
using namespace reef::model;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

using Fixture = test::CacheFixture;
using test::has_memory_folder;
using test::kWeights;

TEST_CASE("a model is loaded once, is the same bytes under its names, and is attached to afterwards") {
  for (const bool in_memory : {false, true}) {
    if (in_memory && !has_memory_folder()) continue;
    Fixture f(in_memory);
    f.add("a");
    for (const LoadStrategy strategy : {LoadStrategy::full, LoadStrategy::stream}) {
      const LoadResult first = f.load("a", strategy);
      CHECK(first.bytes_read() == fs::file_size(f.weights("a")));
      CHECK((io::read_file(first.folder / "model.safetensors") == io::read_file(f.weights("a"))));
      CHECK(io::read_file(first.folder / "config.json") == "{}");
      CHECK(f.load("a", strategy).bytes_read() == 0);
      CHECK(f.leftovers().empty());
      CHECK(evict_model(f.tree, f.config(), {.name = "a"}).has_changed);
      CHECK_FALSE(evict_model(f.tree, f.config(), {.name = "a"}).has_changed);
    }
  }
}

TEST_CASE("the strategy follows from the size, and the reason is told") {
  Fixture f;
  f.add("a");
  CHECK(f.load("a").strategy == LoadStrategy::full);
  CHECK(f.load("a").reason.find("load.full_below") != std::string::npos);
  const auto with = [&](const char* models) {
    return load_model(f.tree, tree::Config::parse("models", models, "models.yaml"), {.name = "a"}, no_progress());
  };
  const LoadResult mapped = with("load:\n  full_below: 1MiB\n");
  CHECK(mapped.strategy == LoadStrategy::mmap);
  CHECK(mapped.folder == f.tree.models("base") / "a");
  CHECK(with("load:\n  full_below: 1MiB\n  stream_above: 2MiB\n").strategy == LoadStrategy::stream);
}

TEST_CASE("a faulty chunk is named, and nothing of the model is in the cache, by every strategy") {
  Fixture f;
  f.add("a");
  std::string bytes = io::read_file(f.weights("a"));
  bytes[3 << 20] ^= 1;
  test::write(f.weights("a"), bytes);
  for (const LoadStrategy strategy : {LoadStrategy::full, LoadStrategy::stream, LoadStrategy::mmap}) {
    CHECK_THROWS_WITH_AS(f.load("a", strategy),
                         doctest::Contains("model.safetensors, chunk 1 (bytes 2097152-4194303, layers.0.w): sha256 is"),
                         Error);
    CHECK(f.cached().empty());
    CHECK(f.leftovers().empty());
  }
  test::write(f.weights("a"), bytes.substr(0, bytes.size() - 1));
  CHECK_THROWS_WITH_AS(f.load("a"), doctest::Contains("manifest says"), Error);
}

TEST_CASE("what was not used for longest goes first, hot and pinned models stay, and the error names them") {
  for (const bool in_memory : {false, true}) {
    if (in_memory && !has_memory_folder()) continue;
    Fixture f(in_memory);
    for (const char* name : {"a", "b", "c"}) f.add(name);
    f.load("a");
    f.load("b");
    CHECK_THROWS_WITH_AS(f.load("c"), doctest::Contains("base/a (5.00 MiB) was used less than"), Error);
    CHECK(f.cached() == std::vector<std::string>{"base/a", "base/b"});
    CHECK(f.leftovers().empty());
    f.age(100s);
    f.load("a");  // now b is the one
    f.load("c");
    CHECK(f.cached() == std::vector<std::string>{"base/a", "base/c"});
    CHECK((io::read_file(f.load("c").folder / "model.safetensors") == io::read_file(f.weights("c"))));

    f.age(1000s);
    CHECK(pin_model(f.tree, f.config(), "a").has_changed);
    CHECK_FALSE(pin_model(f.tree, f.config(), "a").has_changed);
    f.load("b");
    CHECK(f.cached() == std::vector<std::string>{"base/a", "base/b"});
    CHECK_THROWS_WITH_AS(f.load("c"), doctest::Contains("base/a (5.00 MiB) is pinned"), Error);
    CHECK(unpin_model(f.tree, f.config(), "a").has_changed);
    f.load("c");
    CHECK(f.cached() == std::vector<std::string>{"base/b", "base/c"});
  }
}

TEST_CASE("a model that a program has mapped stays, whatever its age, and its holder is named") {
  Fixture f;
  for (const char* name : {"a", "b", "c"}) f.add(name);
  const io::UniqueFd holder = io::open_file(f.load("a").folder / "model.safetensors", O_RDONLY);
  f.load("b");
  f.age(1000s);
  f.load("c");  // b went, though a was not used for longer
  CHECK(f.cached() == std::vector<std::string>{"base/a", "base/c"});
  CHECK_THROWS_WITH_AS(f.load("b"), doctest::Contains("base/a (5.00 MiB) is in use by "), Error);
  CHECK_THROWS_WITH_AS(evict_model(f.tree, f.config(), {.name = "a"}), doctest::Contains("is in use by "), Error);
  CHECK(f.leftovers().empty());
  const CacheStatus status = cache_status(f.tree, f.config(), true);
  const auto a = std::find_if(status.files.begin(), status.files.end(),
                              [](const auto& file) { return file.models[0] == "base/a"; });
  REQUIRE(a != status.files.end());
  CHECK(a->is_in_use);
  REQUIRE(a->holders.size() == 1);
  CHECK(a->holders[0].find("(" + std::to_string(::getpid()) + ")") != std::string::npos);
  CHECK(nlohmann::json::parse(to_json(status))["files"].size() == 2);
}

TEST_CASE("a model larger than the cache is refused and evicts nothing") {
  Fixture f;
  f.settings = "cache:\n  model:\n    cap_bytes: 6MiB\n";
  f.add("a");
  f.load("a");
  f.age(1000s);
  const std::string header = R"({"w":{"dtype":"U8","shape":[8388608],"data_offsets":[0,8388608]}})";
  test::write(f.dir / "in/big/config.json", "{}");
  test::write(f.dir / "in/big/model.safetensors", test::safetensors(header, 8 << 20));
  import_model(f.tree, f.config(), {.source = f.dir / "in/big"}, no_progress());
  CHECK_THROWS_WITH_AS(f.load("big", LoadStrategy::full), doctest::Contains("the model cache may hold 6.00 MiB"),
                       Error);
  CHECK(f.cached() == std::vector<std::string>{"base/a"});
}

TEST_CASE("a cache that holds more than its cap is brought below it by the next load") {
  Fixture f;
  for (const char* name : {"a", "b", "c"}) f.add(name);
  f.load("a");
  f.load("b");
  f.age(1000s);
  f.settings = "cache:\n  model:\n    cap_bytes: 6MiB\n";
  f.load("c");
  CHECK(f.cached() == std::vector<std::string>{"base/c"});
}

TEST_CASE("a model in parts is loaded whole or refused, and automatically goes into the page cache then") {
  Fixture f;
  const std::string header = R"({"PART":{"dtype":"U8","shape":[5242880],"data_offsets":[0,5242880]}})";
  const auto part = [&](const char* name) { return std::string(header).replace(header.find("PART"), 4, name); };
  test::write(f.dir / "in/parts/config.json", "{}");
  test::write(f.dir / "in/parts/model-00001-of-00002.safetensors", test::safetensors(part("p1"), kWeights));
  test::write(f.dir / "in/parts/model-00002-of-00002.safetensors", test::safetensors(part("p2"), kWeights));
  import_model(f.tree, f.config(), {.source = f.dir / "in/parts"}, no_progress());
  const LoadResult whole = f.load("parts");
  CHECK(whole.files.size() == 2);
  for (const LoadedFile& file : whole.files)
    CHECK((io::read_file(whole.folder / file.path) == io::read_file(file.place)));

  f.settings = "cache:\n  model:\n    cap_bytes: 7MiB\n";
  CHECK_THROWS_WITH_AS(f.load("parts", LoadStrategy::full), doctest::Contains("the model cache may hold 7.00 MiB"),
                       Error);
  CHECK(f.load("parts").strategy == LoadStrategy::mmap);
}

TEST_CASE("links of files that a model no longer has are removed") {
  Fixture f;
  f.add("a");
  test::write(f.dir / "in/a/vocab.txt", "x");
  import_model(f.tree, f.config(), {.source = f.dir / "in/a", .force = true}, no_progress());
  const fs::path link = f.load("a").folder / "vocab.txt";
  CHECK(fs::is_symlink(link));
  fs::remove(f.dir / "in/a/vocab.txt");
  import_model(f.tree, f.config(), {.source = f.dir / "in/a", .force = true}, no_progress());
  f.load("a");
  CHECK_FALSE(fs::is_symlink(link));
}

TEST_CASE("what killed runs left is put right by the next reservation") {
  Fixture f;
  for (const char* name : {"a", "b"}) f.add(name);
  const std::string digest = read_manifest(f.tree.models("base") / "a")->find("model.safetensors")->proven_digest();
  f.load("a");
  // Killed while it asked who uses "a", and while it wrote something else.
  fs::rename(f.tree.model_cache() / digest, f.tree.model_cache() / (".evicted-" + digest));
  test::write(f.tree.model_cache() / ".loading-1234", "half");
  {
    io::Database ledger(f.tree.cache() / "model_cache.sqlite", io::OpenMode::write);
    ledger.execute("INSERT INTO file VALUES ('1234', 7000000, 0, 1)");
  }
  f.load("b");
  CHECK(f.leftovers().empty());
  CHECK(f.cached() == std::vector<std::string>{"base/a", "base/b"});
  CHECK(f.load("a").bytes_read() == 0);
}

TEST_CASE("a ledger that is lost or damaged is made again, and what is cached stays") {
  Fixture f;
  f.add("a");
  f.load("a");
  for (const char* suffix : {"", "-wal", "-shm"})
    fs::remove(f.tree.cache() / (std::string("model_cache.sqlite") + suffix));
  CHECK(f.load("a").bytes_read() == 0);
  test::write(f.tree.cache() / "model_cache.sqlite", std::string(5000, 'x'));
  CHECK(f.load("a").bytes_read() == 0);
  fs::remove_all(f.tree.cache());
  CHECK(f.load("a").bytes_read() > 0);
}

TEST_CASE("an interrupted load leaves nothing") {
  Fixture f;
  f.add("a");
  test::Interrupting progress(1);
  CHECK_THROWS_AS(load_model(f.tree, f.config(), {.name = "a"}, progress), Error);
  pending_signal = 0;
  CHECK(f.leftovers().empty());
  CHECK(f.cached().empty());
  CHECK(f.load("a").bytes_read() > 0);
}
