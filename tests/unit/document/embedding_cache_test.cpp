#include "reef/document/embedding_cache.h"

#include <doctest/doctest.h>

#include <fstream>

#include "reef/core/error.h"
#include "support/temp_dir.h"

using namespace reef;
using document::EmbeddingCache;

namespace {

constexpr std::size_t kDim = 4, kPassages = 50;

/// A cache of kPassages unit vectors, all known when it is made.
struct Fixture {
  test::TempDir dir;
  std::filesystem::path file = dir / "model.sqlite";
  std::vector<document::PassageHash> passages;
  std::vector<float> vectors = std::vector<float>(kPassages * kDim);

  Fixture() {
    for (std::size_t i = 0; i < kPassages; ++i) {
      passages.push_back({static_cast<std::uint8_t>(i)});
      vectors[i * kDim + i % kDim] = 1;
    }
    auto cache = open();
    cache.add(passages, vectors, std::vector<bool>(kPassages));
    cache.trim(1 << 30);
  }
  EmbeddingCache open() { return EmbeddingCache(dir.path(), "model", kDim); }
  void change(const char* sql) { io::Database(file, io::OpenMode::write).execute(sql); }
  static std::size_t count(const std::vector<bool>& known) {
    return static_cast<std::size_t>(std::count(known.begin(), known.end(), true));
  }
  std::size_t found(EmbeddingCache& cache) {
    std::vector<float> out(vectors.size());
    const auto known = cache.find(passages, out);
    for (std::size_t i = 0; i < known.size(); ++i)
      if (known[i]) CHECK(std::equal(&out[i * kDim], &out[i * kDim] + kDim, &vectors[i * kDim]));
    return count(known);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what was added is found, by a later run too") {
  auto cache = open();
  CHECK(found(cache) == kPassages);
}

TEST_CASE_FIXTURE(Fixture, "a cached vector that cannot be one is unknown, and replaced") {
  // 0 everywhere; not a number; twice as long as a unit vector; too short; too long.
  for (const char* bad : {"zeroblob(16)", "x'0000c07f000000000000000000000000'", "x'00000040000000000000000000000000'",
                          "x'0000803f'", "zeroblob(32)", "x''"}) {
    CAPTURE(bad);
    change(("UPDATE vectors SET vector = " + std::string(bad) + " WHERE passage < x'03'").c_str());
    auto cache = open();
    CHECK(found(cache) == kPassages - 3);
    std::vector<float> out(vectors.size());
    cache.add(passages, vectors, cache.find(passages, out));
    CHECK(found(cache) == kPassages);
  }
}

TEST_CASE_FIXTURE(Fixture, "a damaged cache is made again, whenever that shows") {
  const auto check_made_again = [&] {
    auto cache = open();
    CHECK_NOTHROW(found(cache));
    CHECK_NOTHROW(cache.add(passages, vectors, std::vector<bool>(kPassages)));
    cache.trim(1 << 30);
    auto again = open();
    CHECK(found(again) == kPassages);
  };
  SUBCASE("no database") {
    std::ofstream(file, std::ios::trunc) << std::string(8192, 'x');
    check_made_again();
  }
  SUBCASE("pages behind the first are overwritten") {
    const auto size = std::filesystem::file_size(file);
    REQUIRE(size > 16384);
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(16384);
    out << std::string(size - 16384, '\x5a');
    out.close();
    check_made_again();
  }
  SUBCASE("cut after the first page") {
    std::filesystem::resize_file(file, 16384);
    check_made_again();
  }
}

TEST_CASE_FIXTURE(Fixture, "a cache that cannot be opened costs nothing but time") {
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  auto cache = open();
  CHECK(found(cache) == 0);
  CHECK_NOTHROW(cache.add(passages, vectors, std::vector<bool>(kPassages)));
  CHECK_NOTHROW(cache.trim(0));
}

TEST_CASE("what is to be forgotten leaves the caches of all models") {
  test::TempDir dir;
  const std::vector<std::string> texts{"kept", "forgotten"};
  const std::vector<document::PassageHash> passages{document::passage_hash("kept"),
                                                    document::passage_hash("forgotten")};
  const std::vector<float> rows{1, 0, 0, 0, 0, 1, 0, 0};
  for (const char* const model : {"one", "other"})
    EmbeddingCache(dir.path(), model, kDim).add(passages, rows, std::vector<bool>(2));
  std::ofstream(dir / "damaged.sqlite") << "junk";
  document::forget_passages(dir.path(), std::span(texts).subspan(1));
  for (const char* const model : {"one", "other"}) {
    std::vector<float> out(rows.size());
    CHECK(EmbeddingCache(dir.path(), model, kDim).find(passages, out) == std::vector<bool>{true, false});
  }
  document::forget_passages(dir / "absent", texts);
}
