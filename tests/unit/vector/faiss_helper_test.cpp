#include "reef/vector/faiss_helper.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "fake_faiss.h"
#include "reef/core/cancel.h"
#include "sample.h"
#include "support/temp_dir.h"
#include "unit/io/signal_soon.h"

namespace reef::vector {
namespace {

using test::contains;
using test::error_of;
using test::FakeHelper;
using test::row_of;
using test::unit_rows;

constexpr std::size_t kDim = 48;
constexpr std::uint64_t kRows = 2000;

bool missing() {
  if (faiss_available()) return false;
  MESSAGE("reef-faiss is not built: tests of it are skipped");
  return true;
}

struct Files {
  test::TempDir dir;
  std::vector<float> values = unit_rows(kRows + 100, kDim, 21);
  std::filesystem::path vectors = dir / "vectors.npy";
  std::filesystem::path index = dir / "faiss.bin";

  Files() { write_npy(vectors, values, kDim); }
  void build(const std::string& factory, Progress& progress = no_progress()) const {
    build_faiss_index(factory, vectors, kRows, index, 1, progress);
  }
  std::vector<Hit> exact(std::span<const float> query, std::size_t k) const {
    return scan_exact(NpyMatrix(vectors), query, k, 0, kRows, {});
  }
  /// What stands in the folder, so that nothing else was left there.
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(dir.path()), {}));
  }
};

/// An index over 2 dimensions and 5 rows, and the bytes of an answer.
const std::string kGreeting = R"(printf 'RFS1\002\0\0\0\005\0\0\0\0\0\0\0'
)";
const std::string kTakeQuestion = "head -c 16 >/dev/null\n";

Error error_of_fake(const std::string& script) {
  const FakeHelper fake(script);
  FaissSearch search("/some/index.bin", 2);
  return error_of([&] { search.search(std::vector<float>{1, 0}, 3); });
}

/// Children of this process, by /proc.
std::vector<pid_t> children() {
  std::vector<pid_t> pids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    try {
      const std::string stat = io::read_file(entry.path() / "stat");
      const std::size_t after = stat.rfind(") ") + 4;
      if (std::stoi(stat.substr(after)) == ::getpid()) pids.push_back(std::stoi(name));
    } catch (const std::exception&) {  // it has ended
    }
  }
  return pids;
}

struct CountedProgress : Progress {
  void begin(std::string_view stage, std::uint64_t total, ProgressUnit) override {
    stages.emplace_back(stage);
    totals.push_back(total);
    ++open;
  }
  void advance(std::uint64_t count) override { advanced += count; }
  void end() override { --open; }

  std::vector<std::string> stages;
  std::vector<std::uint64_t> totals;
  std::uint64_t advanced = 0;
  int open = 0;
};

TEST_CASE("a flat index of FAISS answers as exact search does") {
  if (missing()) return;
  const Files files;
  CountedProgress progress;
  files.build("Flat", progress);
  CHECK(progress.stages == std::vector<std::string>{"indexing", "writing"});
  CHECK(progress.totals.front() == kRows);
  CHECK(progress.advanced == kRows);
  CHECK(progress.open == 0);
  CHECK(files.entries() == 2);
  FaissSearch search(files.index, kDim);
  for (const std::size_t k : {1u, 10u, 64u, 100u, 7u, 2000u, 3000u}) {
    CAPTURE(k);
    for (std::size_t q = 0; q < 20; ++q) {
      const auto query = row_of(files.values, kDim, kRows + q);
      const auto truth = files.exact(query, k);
      const auto found = search.search(query, k);
      REQUIRE(found.size() == truth.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        CHECK(found[i].score == doctest::Approx(truth[i].score).epsilon(1e-5));
        // Sums in another order may exchange neighbours that are equal but for rounding.
        if (found[i].row != truth[i].row) CHECK(std::abs(found[i].score - truth[i].score) < 1e-6f);
      }
    }
  }
  CHECK(search.search(row_of(files.values, kDim, 0), 0).empty());
  CHECK(search.rows() == kRows);
}

TEST_CASE("graphs and lists of FAISS find nearly all") {
  if (missing()) return;
  const Files files;
  for (const std::string factory :
       {"HNSW32", "HNSW32,SQ8", "IVF16,SQ8", "IDMap,Flat", "HNSW16_PQ24", "PCA24,IVF8,Flat"}) {
    CAPTURE(factory);
    files.build(factory);
    FaissSearch search(files.index, kDim);
    std::size_t common = 0;
    for (std::size_t q = 0; q < 50; ++q) {
      const auto query = row_of(files.values, kDim, kRows + q);
      const auto truth = files.exact(query, 10);
      const auto found = search.search(query, 20);  // as candidates are asked for
      REQUIRE(found.size() == 20);
      CHECK(std::is_sorted(found.begin(), found.end(), [](const Hit& a, const Hit& b) { return a.score > b.score; }));
      CHECK(found.front().score == doctest::Approx(truth.front().score).epsilon(0.2));
      for (const Hit& hit : truth) {
        common += std::any_of(found.begin(), found.end(), [&](const Hit& f) { return f.row == hit.row; });
      }
    }
    const double recall = static_cast<double>(common) / 500;
    CHECK(recall >= (factory.find("P") == std::string::npos || factory.starts_with("IDMap") ? 0.95 : 0.6));
  }
}

TEST_CASE("effort reaches the index") {
  if (missing()) return;
  const Files files;
  files.build("IVF64,Flat");
  FaissSearch one(files.index, kDim, {0, 1});
  FaissSearch all(files.index, kDim, {0, 64});
  std::size_t best_of_one = 0;
  for (std::size_t q = 0; q < 50; ++q) {
    const auto query = row_of(files.values, kDim, kRows + q);
    const auto truth = files.exact(query, 100);
    CHECK(all.search(query, 100).back().row == truth.back().row);
    const auto found = one.search(query, 100);
    best_of_one += found.size() == 100 && found.back().row == truth.back().row;
  }
  CHECK(best_of_one < 25);
}

TEST_CASE("a factory that FAISS does not know is the user's mistake, and leaves nothing") {
  if (missing()) return;
  const Files files;
  files.build("Flat");
  const std::string before = io::read_file(files.index);
  const Error unknown = error_of([&] { files.build("Flatt"); });
  CHECK(unknown.code() == Errc::usage);
  CHECK(contains(unknown.what(), "FAISS makes no index 'Flatt' over 48 dimensions"));
  CHECK(contains(unknown.what(), "'IVF256,PQ48'"));
  CHECK(contains(unknown.hint(), "index-factory"));
  CHECK(error_of([&] { files.build("PQ7"); }).code() == Errc::usage);
  CHECK(error_of([&] { files.build(""); }).code() == Errc::usage);
  const Error few = error_of([&] { files.build("IVF5000,Flat"); });
  CHECK(few.code() == Errc::failed);
  CHECK(contains(few.what(), "Number of training points (2000) should be at least as large"));
  CHECK(contains(few.what(), "faiss.bin (IVF5000,Flat): "));
  CHECK_FALSE(contains(few.what(), ".cpp"));
  CHECK(io::read_file(files.index) == before);
  CHECK(files.entries() == 2);
}

TEST_CASE("vectors that are absent, cut or none") {
  if (missing()) return;
  const Files files;
  const auto build = [&](const std::filesystem::path& vectors, std::uint64_t rows) {
    return error_of([&] { build_faiss_index("Flat", vectors, rows, files.index, 1, no_progress()); });
  };
  CHECK(build(files.dir / "absent.npy", 10).code() == Errc::not_found);
  CHECK(contains(build(files.dir / "absent.npy", 10).what(), "absent.npy"));
  CHECK(build(files.vectors, kRows + 101).code() == Errc::corrupt);
  CHECK(build(files.vectors, 0).code() == Errc::usage);
  test::write_file(files.dir / "text.npy", "no array");
  CHECK(build(files.dir / "text.npy", 10).code() == Errc::corrupt);
  CHECK(error_of([&] {
          build_faiss_index("Flat", files.vectors, 10, files.dir / "no folder" / "x", 1, no_progress());
        }).code() == Errc::not_found);
}

TEST_CASE("a damaged index is an error that names it, and no crash of ours") {
  if (missing()) return;
  const Files files;
  const auto query = row_of(files.values, kDim, 0);
  for (const std::string factory : {"Flat", "HNSW32,SQ8", "IVF16,SQ8"}) {
    CAPTURE(factory);
    files.build(factory);
    const std::string whole = io::read_file(files.index);
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{3}, std::size_t{40}, whole.size() / 2, whole.size() - 1}) {
      CAPTURE(size);
      test::write_file(files.index, std::string_view(whole).substr(0, size));
      FaissSearch search(files.index, kDim);
      const Error e = error_of([&] { search.search(query, 10); });
      CHECK(e.code() == Errc::corrupt);
      CHECK(contains(e.what(), "faiss.bin"));
      CHECK(e.hint() == "build the index again");
    }
    // Whatever stands in the head: an answer of rows that exist, or an error.
    std::mt19937 generator(3);
    for (int round = 0; round < 12; ++round) {
      CAPTURE(round);
      std::string damaged = whole;
      for (int i = 0; i < 4; ++i) damaged[generator() % 120] = static_cast<char>(generator());
      test::write_file(files.index, damaged);
      FaissSearch search(files.index, kDim);
      try {
        for (const Hit& hit : search.search(query, 10)) CHECK(hit.row < search.rows());
      } catch (const Error& e) {
        CHECK(contains(e.what(), "faiss.bin"));
      }
    }
  }
}

TEST_CASE("an index that is absent or of other vectors") {
  if (missing()) return;
  const Files files;
  FaissSearch search(files.index, kDim);
  const Error absent = error_of([&] { search.search(row_of(files.values, kDim, 0), 3); });
  CHECK(absent.code() == Errc::not_found);
  CHECK(contains(absent.what(), "faiss.bin"));
  files.build("Flat");
  CHECK(search.search(row_of(files.values, kDim, 0), 3).front().row == 0);  // the next call tries again
  FaissSearch other(files.index, kDim / 2);
  const Error e = error_of([&] { other.search(row_of(files.values, kDim / 2, 0), 3); });
  CHECK(e.code() == Errc::corrupt);
  CHECK(contains(e.what(), "an index over 48 dimensions, the vectors have 24"));
  CHECK_THROWS_AS(other.search(row_of(files.values, kDim, 0), 3), Error);
}

TEST_CASE("a child that is killed costs one question, and none stays behind") {
  if (missing()) return;
  const Files files;
  files.build("Flat");
  const auto query = row_of(files.values, kDim, 5);
  {
    FaissSearch search(files.index, kDim);
    std::thread([&] { CHECK(search.search(query, 3).front().row == 5); }).join();
    CHECK(search.search(query, 3).front().row == 5);  // though the thread that started the child is gone
    const auto pids = children();
    REQUIRE(pids.size() == 1);
    ::kill(pids.front(), SIGKILL);
    const Error e = error_of([&] { search.search(query, 3); });
    CHECK(e.code() == Errc::failed);
    CHECK(contains(e.what(), "faiss.bin: reef-faiss was killed (signal 9)"));
    CHECK(contains(e.hint(), "out of memory"));
    CHECK(search.search(query, 3).front().row == 5);
  }
  CHECK(children().empty());
}

TEST_CASE("answers of a child are checked") {
  CHECK(contains(error_of_fake("exit 0\n").what(), "ended with status 0"));
  CHECK(contains(error_of_fake("printf RFS1; exit 0\n").what(), "/some/index.bin: reef-faiss ended with status 0"));
  CHECK(contains(error_of_fake("printf 'something else..'\n").what(), "of another version"));
  CHECK(contains(error_of_fake(kGreeting + "echo 'reef-faiss: too bad' >&2; exit 1\n").what(), "index.bin: too bad"));
  const Error crash = error_of_fake(kGreeting + kTakeQuestion + "printf abc; kill -SEGV $$\n");
  CHECK(crash.code() == Errc::corrupt);
  CHECK(contains(crash.what(), "/some/index.bin: FAISS crashed (signal 11)"));
  // 64 entries of 12 bytes: of row 5 among 5, of a score that is no number, of row -2.
  const std::string rest = "head -c 756 /dev/zero; cat >/dev/null\n";
  for (const std::string entry : {R"(\005\0\0\0\0\0\0\0\0\0\0\0)", R"(\001\0\0\0\0\0\0\0\0\0\300\177)",
                                  R"(\376\377\377\377\377\377\377\377\0\0\0\0)"}) {
    CAPTURE(entry);
    const Error e = error_of_fake(kGreeting + kTakeQuestion + "printf '" + entry + "'\n" + rest);
    CHECK(e.code() == Errc::corrupt);
    CHECK(contains(e.what(), "/some/index.bin: FAISS found row"));
  }
}

TEST_CASE("an interrupt ends a build and a question") {
  const auto start = std::chrono::steady_clock::now();
  const FakeHelper fake("echo training 5; exec sleep 60\n");
  {
    const test::SignalSoon handler(std::chrono::milliseconds(50));
    CountedProgress progress;
    const Error e = error_of([&] { build_faiss_index("Flat", "v.npy", 5, "out", 1, progress); });
    CHECK(e.code() == Errc::interrupted);
  }
  {
    const test::SignalSoon handler(std::chrono::milliseconds(50));
    FaissSearch search("/some/index.bin", 2);
    CHECK(error_of([&] { search.search(std::vector<float>{1, 0}, 3); }).code() == Errc::interrupted);
  }
  CHECK(children().empty());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));
}

TEST_CASE("a build that crashes or is killed says so") {
  const auto error_of_build = [](const std::string& script) {
    const FakeHelper fake(script);
    return error_of([] { build_faiss_index("IVF0,Flat", "v.npy", 5, "/some/out.bin", 1, no_progress()); });
  };
  const Error crash = error_of_build("kill -ABRT $$\n");
  CHECK(crash.code() == Errc::failed);
  CHECK(contains(crash.what(), "/some/out.bin (IVF0,Flat): FAISS crashed (signal 6)"));
  CHECK(contains(crash.hint(), "another factory"));
  const Error killed = error_of_build("echo rows 3; kill -KILL $$\n");
  CHECK(killed.code() == Errc::failed);
  CHECK(contains(killed.what(), "reef-faiss was killed (signal 9)"));
}

TEST_CASE("without the helper there is a next step") {
  const test::TempDir empty;
  ::setenv("REEF_LIBEXEC", empty.path().c_str(), 1);
  CHECK_FALSE(faiss_available());
  FaissSearch search("/some/index.bin", 2);
  const Error e = error_of([&] { search.search(std::vector<float>{1, 0}, 3); });
  CHECK(e.code() == Errc::not_found);
  CHECK(contains(e.hint(), "libfaiss-dev"));
  CHECK(error_of([] { build_faiss_index("Flat", "v.npy", 5, "out", 1, no_progress()); }).code() == Errc::not_found);
  ::unsetenv("REEF_LIBEXEC");
}

}  // namespace
}  // namespace reef::vector
