// What a run that died, a full disk or a damaged medium leaves behind, and what the next run does.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>

#include "store_sample.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

constexpr std::size_t kDim = SampleStore::kDim;
constexpr std::size_t kRowBytes = kDim * sizeof(float);

/// No file of this process may grow past `bytes` for the length of the scope: a disk that is full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uint64_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &saved_);
    rlimit limit = saved_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &saved_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit saved_{};
};

}  // namespace

TEST_CASE("rows that were appended and never committed are cut by the next run") {
  SampleStore store;
  store.add(20);
  {
    StoreWriter killed(store.folder(), store.metadata());
    store.append(killed, 30);
  }
  CHECK(store.answers(20));
  CHECK(store.faults(false).empty());
  CHECK(store.faults(true).size() == 4);  // header and rows of both files
  store.add(10);
  CHECK(store.answers(30));
  CHECK(store.faults().empty());
  CHECK(NpyMatrix(store / "vectors.npy").rows() == 30);
}

TEST_CASE("a run killed before its first commit leaves nothing that counts") {
  SampleStore store;
  {
    StoreWriter killed(store.folder(), store.metadata());
    killed.use_model("mini", SampleStore::kDigest, kDim);
    store.append(killed, 30);
  }
  SUBCASE("as it was") {}
  SUBCASE("its file torn to zeros") { write_file(store / "vectors.1.npy", std::string(4096, '\0')); }
  SUBCASE("its file empty") { write_file(store / "codes.1.npy", ""); }
  CHECK(store.reader().empty());
  store.add(10);
  CHECK(store.answers(10));
  CHECK(store.faults().empty());
}

TEST_CASE("a header caught between two counts does not matter") {
  SampleStore store;
  store.add(20);
  for (const char* name : {"vectors.1.npy", "codes.1.npy"}) {
    const std::string content = io::read_file(store / name);
    patch_file(store / name, content.find("20,"), "99");
  }
  CHECK(store.answers(20));
  CHECK(store.faults(false).empty());
  store.add(5);
  CHECK(store.answers(25));
  CHECK(store.faults().empty());
}

TEST_CASE("a disk that fills up commits nothing, and the next run goes on") {
  SampleStore store;
  store.add(20);
  const std::uint64_t vectors_size = std::filesystem::file_size(store / "vectors.1.npy");
  const std::uint64_t codes_size = std::filesystem::file_size(store / "codes.1.npy");
  StoreWriter writer(store.folder(), store.metadata());
  {
    const FileSizeLimit full(vectors_size + 10 * kRowBytes + 7);  // in the middle of a row of vectors
    CHECK_THROWS_AS(store.append(writer, 100), Error);
  }
  CHECK(store.answers(20));
  SUBCASE("the same writer tries again") {
    store.append(writer, 30);
    store.commit(writer);
    writer.publish();
    CHECK(store.answers(50));
  }
  SUBCASE("the next run") {
    store.add(30);
    CHECK(store.answers(50));
    CHECK(store.faults().empty());
  }
  CHECK(std::filesystem::file_size(store / "codes.1.npy") == codes_size + 30 * code_row_bytes(kDim));
}

TEST_CASE("a transaction that is rolled back leaves the committed rows") {
  SampleStore store;
  store.add(20);
  {
    StoreWriter writer(store.folder(), store.metadata());
    store.append(writer, 5);
    const io::Transaction rolled_back(store.metadata());
    writer.commit();
  }
  CHECK(store.answers(20));
  store.add(3);
  CHECK(store.answers(23));
}

TEST_CASE("fewer vectors than committed are an error with a next step") {
  SampleStore store;
  store.add(20);
  std::string message = "vectors.1.npy: holds 12 rows, the store counts 20";
  SUBCASE("cut") { std::filesystem::resize_file(store / "vectors.1.npy", 128 + 12 * kRowBytes); }
  SUBCASE("gone") {
    std::filesystem::remove(store / "vectors.1.npy");
    message = "the file is gone, and the store counts 20 rows in it";
  }
  for (const Error& error :
       {error_of([&] { StoreWriter(store.folder(), store.metadata()); }), error_of([&] { store.reader(); })}) {
    CHECK(error.code() == Errc::corrupt);
    CHECK(contains(error.what(), "vectors.1.npy"));
    CHECK(contains(error.what(), message));
    CHECK(contains(error.hint(), "restore"));
  }
  const auto faults = store.faults(false);
  REQUIRE(faults.size() == 1);
  CHECK(contains(faults.front(), message));
}

TEST_CASE("codes that are missing, short or damaged are made again, and floats serve until then") {
  SampleStore store;
  store.add(20);
  const std::string right = io::read_file(store / "codes.1.npy");
  SUBCASE("missing") { std::filesystem::remove(store / "codes.1.npy"); }
  SUBCASE("short") { std::filesystem::resize_file(store / "codes.1.npy", right.size() - 100); }
  SUBCASE("empty") { std::filesystem::resize_file(store / "codes.1.npy", 0); }
  SUBCASE("torn header") { patch_file(store / "codes.1.npy", 0, std::string(64, '\0')); }
  SUBCASE("of another dimension") {
    write_file(store / "codes.1.npy", io::read_file(store / "codes.1.npy").replace(right.find("(24,)"), 5, "(16,)"));
  }
  CHECK(store.answers(20));
  CHECK(store.faults(false).empty());
  CHECK_FALSE(store.faults(true).empty());
  StoreWriter(store.folder(), store.metadata()).publish();
  CHECK(io::read_file(store / "codes.1.npy") == right);
  CHECK(store.faults().empty());
  CHECK(store.files().size() == 5);  // no temporary file stays
}
