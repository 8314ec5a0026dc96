#include "reef/vector/store.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "store_sample.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

constexpr std::size_t kDim = SampleStore::kDim;

/// What a file is and when it last changed in any way.
struct Stamp {
  ino_t inode;
  std::int64_t changed_ns;

  explicit Stamp(const std::filesystem::path& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    inode = status.st_ino;
    changed_ns = status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec;
  }
  bool operator==(const Stamp&) const = default;
};

}  // namespace

TEST_CASE("a new store is empty and finds nothing") {
  SampleStore store;
  CHECK(store.reader().empty());
  CHECK(store.reader().search(row_of(store.values(), kDim, 0), 5).empty());
  StoreWriter writer(store.folder(), store.metadata());
  writer.publish();
  CHECK(store.files().empty());
  CHECK(store.faults().empty());
  CHECK_THROWS_AS(writer.append(row_of(store.values(), kDim, 0)), Error);  // no model was named
}

TEST_CASE("rows are invisible until they are committed, and then found") {
  SampleStore store;
  {
    StoreWriter writer(store.folder(), store.metadata());
    writer.use_model("mini", SampleStore::kDigest, kDim);
    CHECK(writer.append(std::span<const float>(store.values()).first(10 * kDim)) == 0);
    CHECK(writer.append(std::span<const float>(store.values()).subspan(10 * kDim, 5 * kDim)) == 10);
    CHECK(store.reader().empty());
    store.commit(writer);
    CHECK(writer.state().rows_total == 15);
    writer.publish();
  }
  CHECK(store.answers(15));
  store.add(85);
  CHECK(store.answers(100));
  const StoreState state = read_state(store.metadata());
  CHECK(state.generation == 1);
  CHECK(state.vectors_file == "vectors.1.npy");
  CHECK(state.codes_file == "codes.1.npy");
  CHECK(state.model == "mini");
  CHECK(state.dim == kDim);
  CHECK(store.files() ==
        std::set<std::string>{"vectors.1.npy", "codes.1.npy", "vectors.npy", "codes.npy", "config.json"});
  CHECK(store.faults().empty());
  CHECK(store.reader().search(row_of(store.values(), kDim, 3), 1).front().score == doctest::Approx(1));
}

TEST_CASE("removed rows and rows outside of a filter are never found") {
  SampleStore store;
  store.add(50);
  {
    StoreWriter writer(store.folder(), store.metadata());
    io::Transaction transaction(store.metadata());
    writer.remove(std::vector<std::uint64_t>{7, 9, 7});
    writer.remove(std::vector<std::uint64_t>{7});
    transaction.commit();
    CHECK_THROWS_AS(writer.remove(std::vector<std::uint64_t>{50}), Error);
  }
  StoreReader reader = store.reader();
  CHECK(std::vector<std::uint64_t>(reader.dead().begin(), reader.dead().end()) == std::vector<std::uint64_t>{7, 9});
  for (const Hit& hit : reader.search(row_of(store.values(), kDim, 7), 50)) CHECK((hit.row != 7 && hit.row != 9));
  CHECK(reader.search(row_of(store.values(), kDim, 7), 50).size() == 48);
  const std::vector<std::uint64_t> only = {3, 7, 30};
  CHECK(reader.search(row_of(store.values(), kDim, 7), 50, {.only = &only}).size() == 2);
}

TEST_CASE("vectors of another model are refused with both names") {
  SampleStore store;
  store.add(5);
  StoreWriter writer(store.folder(), store.metadata());
  Error error = error_of([&] { writer.use_model("bge", "bbbb", kDim); });
  CHECK(error.code() == Errc::usage);
  CHECK(contains(error.what(), "the store holds vectors of mini, this run would add bge"));
  CHECK(contains(error.hint(), "models.yaml again"));
  error = error_of([&] { writer.use_model("mini", "bbbbbbbbbbbbbbbbbbbb", kDim); });
  CHECK(contains(error.what(), "vectors of mini (aaaaaaaaaaaa), this run would add mini (bbbbbbbbbbbb)"));
  CHECK(error_of([&] { writer.use_model("mini", SampleStore::kDigest, kDim + 1); }).code() == Errc::usage);
  writer.use_model("renamed", SampleStore::kDigest, kDim);  // the same weights under another name
  CHECK(writer.state().model == "mini");
}

TEST_CASE("a model can be changed while nothing is committed") {
  SampleStore store;
  {
    StoreWriter killed(store.folder(), store.metadata());
    killed.use_model("bge", "bbbb", 8);
    killed.append(unit_rows(3, 8, 2));
  }
  store.add(4);
  CHECK(store.answers(4));
  CHECK(store.faults().empty());
}

TEST_CASE("questions and rows that do not fit are refused") {
  SampleStore store;
  store.add(5);
  const Error error = error_of([&] { store.reader().search(std::vector<float>(8, 0.1f), 3); });
  CHECK(error.code() == Errc::usage);
  CHECK(contains(error.what(), "a question of 8 values"));
  CHECK(contains(error.hint(), "mini"));

  StoreWriter writer(store.folder(), store.metadata());
  std::vector<float> rows = unit_rows(2, kDim, 3);
  rows[kDim] = std::nanf("");
  CHECK(contains(error_of([&] { writer.append(rows); }).what(), "vector 1 of this batch has length nan, not 1"));
  rows = unit_rows(2, kDim, 3);
  rows[0] += 1;
  CHECK_THROWS_AS(writer.append(rows), Error);
  rows.pop_back();
  CHECK_THROWS_AS(writer.append(rows), Error);
  CHECK(store.answers(5));
}

TEST_CASE("publish changes nothing when all is right, and mends what is not") {
  SampleStore store;
  store.add(5);
  const std::vector<std::string> names = {"vectors.npy", "codes.npy", "config.json"};
  const auto stamps = [&] {
    std::vector<Stamp> result;
    for (const std::string& name : names) result.emplace_back(store / name);
    result.emplace_back(store.folder());
    return result;
  };
  const auto before = stamps();
  StoreWriter(store.folder(), store.metadata()).publish();
  CHECK(stamps() == before);

  SUBCASE("a missing name") { std::filesystem::remove(store / "vectors.npy"); }
  SUBCASE("a name of something else") { write_file(store / "codes.npy", "other"); }
  SUBCASE("a link that leads elsewhere") {
    std::filesystem::remove(store / "codes.npy");
    std::filesystem::create_symlink("vectors.1.npy", store / "codes.npy");
  }
  SUBCASE("an old configuration") { write_file(store / "config.json", "{}"); }
  SUBCASE("a symbolic link, as on filesystems without hard links, is right") {
    std::filesystem::remove(store / "codes.npy");
    std::filesystem::create_symlink("codes.1.npy", store / "codes.npy");
  }
  StoreWriter(store.folder(), store.metadata()).publish();
  CHECK(store.faults().empty());
  CHECK(NpyMatrix(store / "vectors.npy").rows() == 5);
  CHECK(CodeMatrix(store / "codes.npy", kDim).rows() == 5);
}

TEST_CASE("readers see whole commits while a writer appends") {
  SampleStore store;
  store.add(1);
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0, rounds = 0, grown = 0;
  std::thread reading([&] {
    io::Database metadata(store / "metadata.sqlite", io::OpenMode::read);
    std::uint64_t last = 0;
    while (!done) {
      io::Transaction transaction(metadata, io::Transaction::Kind::read);
      StoreReader reader(store.folder(), metadata);
      const std::uint64_t rows = reader.state().rows_total;
      if (rows < last) ++wrong;
      if (rows > last) ++grown;
      last = rows;
      for (const std::uint64_t row : {std::uint64_t{0}, rows / 2, rows - 1}) {
        const auto query = row_of(store.values(), kDim, row);
        const auto hits = reader.search(query, 400);
        if (hits.size() != rows || hits.front().row != row) ++wrong;
        if (!std::ranges::equal(reader.row(row), query)) ++wrong;
      }
      ++rounds;
    }
  });
  for (int i = 0; i < 150; ++i) store.add(1 + static_cast<std::size_t>(i) % 3);
  done = true;
  reading.join();
  CHECK(wrong == 0);
  CHECK(rounds > 0);
  CHECK(grown > 1);
  CHECK(store.answers(1 + 50 * 6));
}
