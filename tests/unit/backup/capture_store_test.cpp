#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "reef/backup/capture.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/vector/store.h"
#include "support/memory_snapshot.h"
#include "support/tree_fixture.h"
#include "unit/vector/sample.h"

namespace reef::backup {
namespace {

using test::MemorySnapshot;

constexpr std::size_t kDim = 24;
const std::string kFolder = "vectors/personas/alice/";

/// A store of vectors in the tree, as document/ keeps one.
struct Fixture : test::TreeFixture {
  fs::path root = tree.root();
  fs::path folder = root / "vectors/personas/alice";
  std::vector<float> values = test::unit_rows(400, kDim, 1);
  io::Database metadata{folder / "metadata.sqlite", io::OpenMode::create};

  Fixture() { metadata.execute(std::string(vector::kStoreSchema) + vector::kIndexSchema); }

  void add(std::size_t count, bool committed = true) {
    vector::StoreWriter writer(folder, metadata);
    writer.use_model("mini", "digest", kDim);
    writer.append(std::span<const float>(values).subspan(writer.state().rows_total * kDim, count * kDim));
    if (!committed) return;
    io::Transaction transaction(metadata);
    writer.commit();
    transaction.commit();
    writer.publish();
  }
  /// A generation without the rows that were removed.
  void rebuild() {
    vector::StoreWriter writer(folder, metadata);
    {
      io::Transaction transaction(metadata);
      writer.remove(std::vector<std::uint64_t>{0});
      transaction.commit();
    }
    const auto rebuilt = vector::rebuild(writer, {}, no_progress());
    io::Transaction transaction(metadata);
    writer.adopt(rebuilt.state);
    transaction.commit();
    writer.remove_unnamed();
    writer.publish();
  }
  CaptureReport run(MemorySnapshot& into) {
    CaptureOptions options;
    options.scratch = dir.path();
    return capture(tree, 1, into, options, no_progress());
  }
  /// Fails unless the store that the snapshot holds agrees with itself and has so many rows.
  void check_restored(const MemorySnapshot& snapshot, std::uint64_t rows) const {
    const test::TempDir copy;
    snapshot.write_to(copy / "tree");
    const fs::path restored = copy / "tree" / kFolder;
    io::Database database(restored / "metadata.sqlite", io::OpenMode::write);
    CHECK(database.integrity() == "");
    CHECK(vector::read_state(database).rows_total == rows);
    for (const auto& fault : vector::verify_store(restored, database))
      if (!fault.mends_itself) FAIL_CHECK(fault.file << ": " << fault.what);  // config.json may be a newer one
    const vector::StoreReader reader(restored, database);
    CHECK(reader.missing().empty());
    const vector::NpyMatrix plain(restored / "vectors.npy");  // its header counts the same
    CHECK(plain.rows() == rows);
  }
};

TEST_CASE("a vector store is captured as far as it is committed, and verifies by itself") {
  Fixture tree;
  tree.add(100);
  SUBCASE("at rest") {}
  SUBCASE("with rows that nobody committed") { tree.add(50, false); }
  SUBCASE("with rows that are appended between the look at it and the reading") { tree.add(50, false); }
  MemorySnapshot snapshot;
  snapshot.before_put = [&](const std::string& path) {
    if (path == kFolder + "config.json") tree.add(30);
  };
  const CaptureReport report = tree.run(snapshot);
  CHECK_FALSE(report.is_partial());
  CHECK(snapshot.count(kFolder + "vectors.1.npy", "rows") == 100);
  CHECK(snapshot.count(kFolder + "codes.1.npy", "rows") == 100);
  CHECK(snapshot.at(kFolder + "vectors.npy").entry.same_file_as == kFolder + "vectors.1.npy");
  CHECK(snapshot.at(kFolder + "codes.npy").entry.same_file_as == kFolder + "codes.1.npy");
  tree.check_restored(snapshot, 100);
}

TEST_CASE("a rebuild that takes the files away while they are read does not tear the store") {
  Fixture tree;
  tree.add(200);
  std::string when;
  SUBCASE("before the first of them") { when = kFolder + "codes.1.npy"; }
  SUBCASE("before the database") { when = kFolder + "metadata.sqlite"; }
  SUBCASE("before the vectors") { when = kFolder + "vectors.1.npy"; }
  MemorySnapshot snapshot;
  bool done = false;
  snapshot.before_put = [&](const std::string& path) {
    if (path == when && !std::exchange(done, true)) tree.rebuild();
  };
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(done);
  CHECK_FALSE(fs::exists(tree.folder / "vectors.1.npy"));
  CHECK(snapshot.has(kFolder + "vectors.1.npy"));
  CHECK_FALSE(snapshot.has(kFolder + "vectors.2.npy"));
  tree.check_restored(snapshot, 200);
}

TEST_CASE("a store at rest that somebody opens, changes and closes while it is read is captured as it is then") {
  Fixture tree;
  tree.add(100);
  tree.metadata = io::Database();
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  bool rebuilds = false;
  SUBCASE("with more rows") {}
  SUBCASE("with other files") { rebuilds = true; }
  MemorySnapshot snapshot;
  int times = 0;
  snapshot.halfway = [&](const std::string& path) {
    if (path != kFolder + "metadata.sqlite" || times++ > 0) return;
    tree.metadata = io::Database(tree.folder / "metadata.sqlite", io::OpenMode::write);
    tree.add(50);
    if (rebuilds) tree.rebuild();
    tree.metadata = io::Database();
  };
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(times == 2);
  CHECK(snapshot.has(kFolder + "vectors.2.npy") == rebuilds);
  CHECK(snapshot.has(kFolder + "vectors.1.npy") != rebuilds);
  tree.check_restored(snapshot, rebuilds ? 149 : 150);
}

TEST_CASE("a store that was rebuilt since an earlier snapshot is read anew") {
  Fixture tree;
  tree.add(100);
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  MemorySnapshot first;
  tree.run(first);
  tree.rebuild();
  MemorySnapshot second(&first);
  tree.run(second);
  CHECK_FALSE(second.kept.contains(kFolder + "metadata.sqlite"));
  tree.check_restored(second, 99);
}

TEST_CASE("a store with a graph is captured with it, and without files of other generations") {
  Fixture tree;
  tree.add(300);
  tree.rebuild();
  io::replace_file(tree.folder / "vectors.9.npy", "of a run that was killed");
  io::replace_file(tree.folder / "vectors.x.npy", "of somebody else");
  MemorySnapshot snapshot;
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(snapshot.has(kFolder + "index.2.bin"));
  CHECK(snapshot.at(kFolder + "index.bin").entry.same_file_as == kFolder + "index.2.bin");
  CHECK_FALSE(snapshot.has(kFolder + "vectors.9.npy"));
  CHECK(snapshot.has(kFolder + "vectors.x.npy"));
  tree.check_restored(snapshot, 299);
}

TEST_CASE("plain names that lag behind are those of the files that the store names") {
  Fixture tree;
  tree.add(100);
  fs::remove(tree.folder / "vectors.npy");
  io::replace_file(tree.folder / "vectors.npy", "of an older generation");
  fs::remove(tree.folder / "codes.npy");
  fs::create_symlink("codes.0.npy", tree.folder / "codes.npy");
  MemorySnapshot snapshot;
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(snapshot.at(kFolder + "vectors.npy").entry.same_file_as == kFolder + "vectors.1.npy");
  CHECK(snapshot.at(kFolder + "codes.npy").entry.link_target == "codes.1.npy");
  tree.check_restored(snapshot, 100);
}

TEST_CASE("vectors that are missing or short are named, and what is there is taken") {
  Fixture tree;
  tree.add(100);
  const fs::path vectors = tree.folder / "vectors.1.npy";
  SUBCASE("missing") { fs::remove(vectors); }
  SUBCASE("short") { fs::resize_file(vectors, fs::file_size(vectors) - 1); }
  SUBCASE("no .npy file") { io::replace_file(vectors, std::string(fs::file_size(vectors), 'x')); }
  MemorySnapshot snapshot;
  const CaptureReport report = tree.run(snapshot);
  REQUIRE(report.problems.size() == 1);
  CHECK(report.problems[0].path == kFolder + "vectors.1.npy");
  CHECK(snapshot.damaged.contains(kFolder + "vectors.1.npy"));
  CHECK(snapshot.has(kFolder + "vectors.1.npy") == fs::exists(vectors));
  CHECK(snapshot.has(kFolder + "metadata.sqlite"));
}

TEST_CASE("a store without vectors, and a metadata.sqlite that is none, are captured as they are") {
  Fixture tree;
  SUBCASE("without vectors") {}
  SUBCASE("of another kind") { tree.metadata.execute("DROP TABLE store"); }
  SUBCASE("with names that lead elsewhere") {
    tree.metadata.execute("UPDATE store SET vectors_file='../../../config/system.yaml', rows_total=1, dim=24");
  }
  SUBCASE("with a number of rows that no file can have") {
    tree.metadata.execute("UPDATE store SET vectors_file='vectors.1.npy', rows_total=9223372036854775807, dim=24");
  }
  MemorySnapshot snapshot;
  tree.run(snapshot);
  CHECK(snapshot.has(kFolder + "metadata.sqlite"));
}

TEST_CASE("what did not change of a store is kept") {
  Fixture tree;
  tree.add(100);
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  MemorySnapshot first;
  tree.run(first);
  MemorySnapshot second(&first);
  tree.run(second);
  for (const char* name : {"vectors.1.npy", "codes.1.npy", "metadata.sqlite"})
    CHECK(second.kept.contains(kFolder + name));
  CHECK(second.at(kFolder + "vectors.npy").entry.same_file_as == kFolder + "vectors.1.npy");
  tree.check_restored(second, 100);
}

/// What memory/ keeps for embeddings.npy.
struct Memories : Fixture {
  fs::path place = root / "data/memories/alice";
  io::Database database{(fs::create_directories(place), place / "memories.sqlite"), io::OpenMode::create};

  Memories() {
    database.execute(
        "CREATE TABLE vector_state(serial, written, file_rows, dim); INSERT INTO vector_state VALUES(3, 3, 50, 24)");
    vector::write_npy(place / "embeddings.npy", std::span<const float>(values).first(60 * kDim), kDim);
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  static constexpr const char* kFile = "data/memories/alice/embeddings.npy";
};

TEST_CASE("embeddings are captured as far as their database counts them") {
  Memories tree;
  MemorySnapshot snapshot;
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(snapshot.count(Memories::kFile, "rows") == 50);
  const test::TempDir copy;
  snapshot.write_to(copy / "tree");
  CHECK(vector::NpyMatrix(copy / "tree" / Memories::kFile).rows() == 50);
}

TEST_CASE("embeddings that are not those of their database are left out") {
  Memories tree;
  SUBCASE("behind") { tree.database.execute("UPDATE vector_state SET serial=4"); }
  SUBCASE("without vectors") { tree.database.execute("UPDATE vector_state SET dim=0"); }
  SUBCASE("changed each time that they are read") {}
  MemorySnapshot snapshot;
  snapshot.halfway = [&](const std::string& path) {
    if (path != Memories::kFile) return;
    const io::UniqueFd fd = io::open_file(tree.place / "embeddings.npy", O_RDWR | O_CLOEXEC);
    io::pwrite_all(fd.get(), std::string(96, '\0'), 4096, tree.place);
  };
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK_FALSE(snapshot.has(Memories::kFile));
  CHECK(snapshot.has("data/memories/alice/memories.sqlite"));
}

TEST_CASE("embeddings that are numbered anew between two looks are looked at again") {
  Memories tree;
  MemorySnapshot snapshot;
  bool done = false;
  snapshot.halfway = [&](const std::string& path) {
    if (path != Memories::kFile || std::exchange(done, true)) return;
    vector::write_npy(tree.place / "embeddings.npy", std::span<const float>(tree.values).first(40 * kDim), kDim);
    tree.database.execute("UPDATE vector_state SET serial=4, written=4, file_rows=40");
  };
  CHECK_FALSE(tree.run(snapshot).is_partial());
  CHECK(done);
  // The file that was open is the old one, and so is the database that was captured with it.
  const std::uint64_t rows = snapshot.count(Memories::kFile, "rows");
  const test::TempDir copy;
  snapshot.write_to(copy / "tree");
  io::Database restored(copy / "tree/data/memories/alice/memories.sqlite", io::OpenMode::write);
  auto query = restored.prepare("SELECT file_rows FROM vector_state");
  REQUIRE(query.step());
  CHECK(static_cast<std::uint64_t>(query.integer(0)) == rows);
}

}  // namespace
}  // namespace reef::backup
