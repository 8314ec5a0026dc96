#include "reef/document/trim_vectors.h"

#include <doctest/doctest.h>

#include <fstream>

#include "reef/document/embedding_cache.h"
#include "reef/io/sqlite.h"
#include "support/temp_dir.h"

using namespace reef;
using document::EmbeddingCache;

namespace {

constexpr std::size_t kDim = 512, kPassages = 200;

/// Two models' vectors: of the first all were used on day 100, of the second half of them on day 50.
struct Fixture {
  test::TempDir dir;
  tree::Tree tree = tree::Tree::at(dir / "root");

  Fixture() {
    std::filesystem::create_directories(tree.embedding_cache());
    for (const char* model : {"first", "second"}) {
      std::vector<document::PassageHash> passages(kPassages);
      std::vector<float> vectors(kPassages * kDim);
      for (std::size_t i = 0; i < kPassages; ++i) {
        passages[i] = {static_cast<std::uint8_t>(i), 1};
        vectors[i * kDim + i] = 1;
      }
      EmbeddingCache cache(tree.embedding_cache(), model, kDim);
      cache.add(passages, vectors, std::vector<bool>(kPassages));
      cache.trim(0);
      change(model, "UPDATE vectors SET used_day = 100");
    }
    change("second", "UPDATE vectors SET used_day = 50 WHERE passage < x'64'");
  }
  std::filesystem::path file(const std::string& model) const { return tree.embedding_cache() / (model + ".sqlite"); }
  void change(const std::string& model, const char* sql) const {
    io::Database(file(model), io::OpenMode::write).execute(sql);
  }
  std::int64_t rows(const std::string& model) const {
    io::Database database(file(model), io::OpenMode::read);
    io::Statement count = database.prepare("SELECT count(*) FROM vectors");
    return count.step() ? count.integer(0) : -1;
  }
  std::uint64_t size() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(tree.embedding_cache())) bytes += entry.file_size();
    return bytes;
  }
  model::CacheTrim trim(std::uint64_t cap, bool dry_run = false) const {
    const auto config = tree::Config::parse(
        "system", "cache:\n  embedding:\n    cap_bytes: " + std::to_string(cap) + "B\n", "system.yaml");
    model::CacheTrim trim;
    trim.is_dry_run = dry_run;
    document::trim_vectors(tree, config, trim);
    model::measure_caches(tree, config, trim);
    return trim;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "of all models together the vectors go that were unused for longest, and the cap is kept") {
  const std::uint64_t before = size();
  CHECK(trim(2 * before).removed.empty());
  CHECK(trim(0).removed.empty());
  const model::CacheTrim planned = trim(before - 65536, true);
  REQUIRE(planned.removed.size() == 1);
  CHECK(planned.removed[0].name == "second.sqlite");
  CHECK_FALSE(planned.is_over());
  CHECK(size() == before);
  const model::CacheTrim done = trim(before - 65536);
  REQUIRE(done.removed.size() == 1);
  CHECK(done.removed[0].name == "second.sqlite");
  CHECK(done.removed[0].bytes > 0);
  CHECK_FALSE(done.is_over());
  CHECK(size() <= before - 65536);
  CHECK(rows("first") == std::int64_t{kPassages});
  CHECK(rows("second") < std::int64_t{kPassages});
  CHECK(rows("second") >= 100);  // those of day 100
  CHECK(trim(before - 65536).removed.empty());
}

TEST_CASE_FIXTURE(Fixture, "a damaged database is emptied, and serves the next run") {
  std::ofstream(file("first"), std::ios::trunc) << std::string(40000, 'x');
  const model::CacheTrim planned = trim(1 << 30, true);
  REQUIRE(planned.kept.size() == 1);
  CHECK(planned.kept[0].why == "is damaged, and would be emptied");
  const model::CacheTrim done = trim(1 << 30);
  REQUIRE(done.removed.size() == 1);
  CHECK(done.removed[0].why == "was damaged");
  CHECK(trim(1 << 30).removed.empty());
  EmbeddingCache cache(tree.embedding_cache(), "first", kDim);
  std::vector<float> vector(kDim);
  vector[0] = 1;
  const std::vector<document::PassageHash> passages(1);
  cache.add(passages, vector, {false});
  CHECK(cache.find(passages, vector) == std::vector<bool>{true});
}

TEST_CASE_FIXTURE(Fixture, "files that hold no vectors are left alone") {
  std::ofstream(tree.embedding_cache() / "empty.sqlite") << "";
  io::Database(tree.embedding_cache() / "foreign.sqlite", io::OpenMode::create).execute("CREATE TABLE t (x)");
  CHECK(trim(1 << 30).kept.empty());
  CHECK(trim(1 << 30).removed.empty());
}
