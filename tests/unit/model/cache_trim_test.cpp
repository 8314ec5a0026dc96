#include "reef/model/cache_trim.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "reef/io/file.h"
#include "unit/model/cache_fixture.h"

using namespace reef;
using namespace reef::model;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

using Names = std::vector<std::string>;

namespace {

struct Fixture : test::CacheFixture {
  CacheTrim trim(bool dry_run = false) const {
    CacheTrim trim;
    trim.is_dry_run = dry_run;
    trim_model_cache(tree, config(), trim);
    trim_inference_cache(tree, config(), trim);
    remove_leftovers_of_embedding(tree, trim);
    measure_caches(tree, config(), trim);
    return trim;
  }
  /// A file of 40 KiB below cache/ that was last used so long ago.
  fs::path put(const fs::path& file, std::chrono::seconds age) const {
    test::write(file, std::string(40 << 10, 'x'));
    timespec times[2] = {};
    REQUIRE(::clock_gettime(CLOCK_REALTIME, &times[0]) == 0);
    times[0].tv_sec -= age.count();
    times[1] = times[0];
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
    return file;
  }
  fs::path put_inference(const std::string& path, std::chrono::seconds age) const {
    return put(tree.inference_cache() / path, age);
  }
};

Names names_of(const std::vector<CacheItem>& items) {
  Names names;
  for (const CacheItem& item : items) names.push_back(item.name);
  return names;
}

constexpr const char* kSmallInference = "cache:\n  inference:\n    cap_bytes: 100KiB\n";

}  // namespace

TEST_CASE_FIXTURE(Fixture, "inference_cache is trimmed to its cap, oldest entries first, folders as one") {
  settings = kSmallInference;
  put_inference("old/one", 5000s);
  put_inference("old/two", 4000s);
  put_inference("newer", 3000s);
  put_inference("newest", 100s);
  const CacheTrim planned = trim(true);
  CHECK(names_of(planned.removed) == Names{"old"});
  CHECK_FALSE(planned.is_over());
  CHECK(fs::exists(tree.inference_cache() / "old/one"));
  const CacheTrim done = trim();
  CHECK(names_of(done.removed) == Names{"old"});
  CHECK(done.freed_bytes() == 80 << 10);
  CHECK(done.kept.empty());
  CHECK_FALSE(fs::exists(tree.inference_cache() / "old"));
  CHECK(fs::exists(tree.inference_cache() / "newer"));
  CHECK(done.folders.at(2).bytes == 80 << 10);
  CHECK(trim().removed.empty());
  CHECK(to_text(trim()) == "already so; all are below their caps\n");
}

TEST_CASE_FIXTURE(Fixture,
                  "an entry of inference_cache that a program has open, or that was just used, stays and is named") {
  settings = kSmallInference;
  const io::UniqueFd held = io::open_file(put_inference("held/deep/file", 9000s), O_RDONLY);
  put_inference("other", 5000s);
  put_inference("fresh", 0s);
  put_inference("fresh-too", 0s);
  const CacheTrim done = trim();
  CHECK(names_of(done.removed) == Names{"other"});
  CHECK(names_of(done.kept) == Names{"held", "fresh", "fresh-too"});
  CHECK(done.kept[0].why.find("is in use by ") == 0);
  CHECK(done.kept[0].why.find("(" + std::to_string(::getpid()) + ")") != std::string::npos);
  CHECK(done.kept[1].why.find("was used less than ") == 0);
  CHECK(fs::exists(tree.inference_cache() / "held/deep/file"));
  CHECK(done.is_over());
  CHECK(to_text(done).find("inference_cache is 20.0 KiB above its cap of 100 KiB") != std::string::npos);
  const auto json = nlohmann::json::parse(to_json(done));
  CHECK(json["kept"].size() == 3);
  CHECK(json["changed"] == true);
}

TEST_CASE_FIXTURE(Fixture, "what a killed trim left goes, below the cap too, unless a program has it") {
  const fs::path left = io::temporary_name(tree.inference_cache() / "snapshot");
  put(left / "file", 5000s);
  const fs::path held_left = io::temporary_name(tree.inference_cache() / "held");
  const io::UniqueFd held = io::open_file(put(held_left / "file", 5000s), O_RDONLY);
  put_inference("stays", 9000s);
  CHECK(names_of(trim().removed) == Names{left.filename().string()});
  CHECK_FALSE(fs::exists(left));
  CHECK(fs::exists(held_left / "file"));
  CHECK(fs::exists(tree.inference_cache() / "stays"));
}

TEST_CASE_FIXTURE(Fixture,
                  "a cap of 0 is none, links and empty folders are left, and a cache that is not there is no fault") {
  CHECK(trim().removed.empty());
  settings = "cache:\n  inference:\n    cap_bytes: 0\n";
  put_inference("old", 5000s);
  CHECK(trim().removed.empty());
  settings = "cache:\n  inference:\n    cap_bytes: 1\n";
  fs::create_directory(tree.inference_cache() / "empty");
  put(dir / "outside/file", 9000s);
  fs::create_directory_symlink(dir / "outside", tree.inference_cache() / "link");
  CHECK(names_of(trim().removed) == Names{"old"});
  CHECK(fs::exists(dir / "outside/file"));
  CHECK(fs::is_symlink(tree.inference_cache() / "link"));
}

TEST_CASE("the model cache is trimmed by the rules of a load, and what keeps it above its cap is named") {
  for (const bool in_memory : {false, true}) {
    if (in_memory && !test::has_memory_folder()) continue;
    test::CacheFixture f(in_memory);
    f.settings = "cache:\n  model:\n    cap_bytes: 20MiB\n";
    for (const char* name : {"a", "b", "c"}) f.add(name);
    const io::UniqueFd held = io::open_file(f.load("a").folder / "model.safetensors", O_RDONLY);
    f.load("b");
    f.age(1000s);
    f.load("c");
    f.settings = "cache:\n  model:\n    cap_bytes: 6MiB\n";
    CacheTrim planned;
    planned.is_dry_run = true;
    trim_model_cache(f.tree, f.config(), planned);
    CHECK(names_of(planned.removed) == Names{"base/b"});
    CHECK(f.cached() == Names{"base/a", "base/b", "base/c"});
    CacheTrim done;
    trim_model_cache(f.tree, f.config(), done);
    measure_caches(f.tree, f.config(), done);
    CHECK(names_of(done.removed) == Names{"base/b"});
    CHECK(done.is_over());
    REQUIRE(done.kept.size() == 2);
    CHECK(done.kept[0].why.find("was used less than ") == 0);
    CHECK(done.kept[1].why.find("is in use by ") == 0);
    CHECK(f.cached() == Names{"base/a", "base/c"});
    CHECK(f.leftovers().empty());
    CacheTrim again;
    trim_model_cache(f.tree, f.config(), again);
    CHECK(again.removed.empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "links in the model cache go with their model") {
  add("a");
  add("b");
  const fs::path a = load("a").folder, b = load("b").folder;
  fs::remove_all(tree.models("base") / "a");
  CHECK(names_of(trim(true).removed) == Names{"models/base/a"});
  CHECK(fs::exists(a));
  CHECK(names_of(trim().removed) == Names{"models/base/a"});
  CHECK_FALSE(fs::exists(a));
  CHECK(fs::exists(b / "model.safetensors"));
}

TEST_CASE_FIXTURE(Fixture, "what killed runs left in embedding_cache goes after a day") {
  const fs::path old = io::temporary_name(tree.encoders() / "x.reefenc");
  const fs::path recent = io::temporary_name(tree.embedding_cache() / "endpoint");
  put(old, 90000s);
  put(recent / "body.json", 80000s);
  CHECK(names_of(trim().removed) == Names{"encoders/" + old.filename().string()});
  CHECK(fs::exists(recent / "body.json"));
}
