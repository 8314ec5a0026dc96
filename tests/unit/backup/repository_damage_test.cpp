#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>

#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "repository_sample.h"

namespace reef::backup {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

using Paths = std::vector<std::string>;

/// Two snapshots with a pack each, of few bytes; the second shares a file with the first.
class TinyRepository : public RepositorySample {
 public:
  TinyRepository() {
    tree.folder("");
    tree.file("shared", random_bytes(700, 1));
    tree.file("old", random_bytes(300, 2));
    first = back_up(tree);
    first_tree = tree;
    tree.erase("old");
    tree.file("new", text_bytes(900, 3));
    second = back_up(tree);
  }

  const std::vector<MemoryFile>& files_of(const std::string& id) const {
    return id == first.id ? first_tree.files : tree.files;
  }

  MemoryTree first_tree;
  MemoryTree tree;
  Snapshot first;
  Snapshot second;
};

/// One flipped bit, and its undoing.
class Flip {
 public:
  Flip(const fs::path& file, std::uint64_t byte, unsigned bit)
      : fd_(io::open_file(file, O_RDWR)), byte_(byte), mask_(static_cast<std::uint8_t>(1U << bit)) {
    flip();
  }
  Flip(const Flip&) = delete;
  Flip& operator=(const Flip&) = delete;
  ~Flip() { flip(); }

 private:
  void flip() const {
    std::uint8_t value = 0;
    REQUIRE(::pread(fd_.get(), &value, 1, static_cast<off_t>(byte_)) == 1);
    value ^= mask_;
    REQUIRE(::pwrite(fd_.get(), &value, 1, static_cast<off_t>(byte_)) == 1);
  }

  io::UniqueFd fd_;
  std::uint64_t byte_;
  std::uint8_t mask_;
};

struct Damage {
  std::map<std::string, std::string> told;
  std::vector<MemoryFile> files;
};

Damage restore_what_is_left(const RepositorySample& sample, const std::string& id) {
  Damage damage;
  MemorySink sink;
  try {
    sample.open(1).read(id, {}, sink, no_progress(),
                        [&](const std::string& path, const std::string& what) { damage.told[path] = what; });
  } catch (const Error& error) {
    CHECK(error.code() == Errc::corrupt);
    damage.told[""] = error.what();
  }
  damage.files = sink.files;
  return damage;
}

/// Every file that was restored has the right bytes, and every one that was not is among the paths of a fault.
void check_rest(const TinyRepository& sample, const std::string& id, const std::vector<Fault>& faults) {
  Paths lost;
  bool hit = false;
  for (const Fault& fault : faults) {
    if (std::find(fault.snapshots.begin(), fault.snapshots.end(), id) == fault.snapshots.end()) continue;
    hit = true;
    lost.insert(lost.end(), fault.paths.begin(), fault.paths.end());
  }
  const Damage damage = restore_what_is_left(sample, id);
  if (!hit) {
    CHECK(damage.told.empty());
    CHECK(same(damage.files, sample.files_of(id)));
    return;
  }
  for (const MemoryFile& file : damage.files) {
    const auto& all = sample.files_of(id);
    const auto was =
        std::find_if(all.begin(), all.end(), [&](const MemoryFile& one) { return one.entry.path == file.entry.path; });
    REQUIRE(was != all.end());
    CHECK(was->bytes == file.bytes);
  }
}

TEST_CASE("repository: every flipped bit is found by verify, and named, and the rest comes back") {
  const TinyRepository sample;
  VerifyOptions options;
  options.threads = 1;
  CHECK(sample.faults(options).empty());  // makes the file of checks
  const Paths files = sample.files();
  CHECK(files == Paths{".reef-backup", "checks", "packs/00000001.pack", "packs/00000002.pack",
                       "snapshots/" + sample.first.id, "snapshots/" + sample.second.id});
  int looked = 0;
  for (const std::string& file : files) {
    const std::uint64_t size = fs::file_size(sample.folder() / file);
    const std::string bytes = io::read_file(sample.folder() / file);
    for (std::uint64_t byte = 0; byte < size; ++byte) {
      // Long runs of zeros: not each of them.
      const bool dull = bytes[byte] == 0 && byte > 8 && bytes.substr(byte - 8, 9) == std::string(9, '\0');
      if (dull && byte % 97 != 0) continue;
      const auto bit = static_cast<unsigned>((byte * 5 + 3) % 8);
      const Flip flip(sample.folder() / file, byte, bit);
      const std::string kept_checks = io::read_file(sample.folder() / "checks");
      const std::vector<Fault> faults = sample.faults(options);
      INFO(file, " byte ", byte, " bit ", bit);
      REQUIRE_FALSE(faults.empty());
      for (const Fault& fault : faults) CHECK(fault.file == file);
      if (file != "checks") io::replace_file(sample.folder() / "checks", kept_checks);
      if (++looked % 9 != 0) continue;
      if (file == ".reef-backup" || file == "checks") continue;
      for (const std::string& id : {sample.first.id, sample.second.id}) check_rest(sample, id, faults);
    }
  }
}

TEST_CASE("repository: files that were cut short, are longer, or missing") {
  const TinyRepository sample;
  for (const std::string& file : sample.files()) {
    if (file == ".reef-backup") continue;
    const std::string bytes = io::read_file(sample.folder() / file);
    const bool is_snapshot = file.starts_with("snapshots/");
    for (const std::size_t length : {std::size_t{0}, std::size_t{7}, bytes.size() / 2,
                                     bytes.size() - 4096 % bytes.size(), bytes.size() - 1, bytes.size() + 1}) {
      std::string other = bytes;
      other.resize(length);
      io::replace_file(sample.folder() / file, other);
      const std::vector<Fault> faults = sample.faults();
      INFO(file, " of ", length);
      REQUIRE_FALSE(faults.empty());
      for (const Fault& fault : faults) CHECK(fault.file == file);
      for (const std::string& id : {sample.first.id, sample.second.id}) check_rest(sample, id, faults);
    }
    fs::remove(sample.folder() / file);
    if (!is_snapshot) {
      const std::vector<Fault> faults = sample.faults();
      REQUIRE(faults.size() == 1);
      CHECK(faults[0].file == file);
      CHECK(faults[0].snapshots.size() == (file == "packs/00000001.pack" ? 2 : 1));
      for (const std::string& id : {sample.first.id, sample.second.id}) check_rest(sample, id, faults);
    }
    io::replace_file(sample.folder() / file, bytes);
    fs::remove(sample.folder() / "checks");
    CHECK(sample.faults().empty());
    fs::remove(sample.folder() / "checks");
  }
}

/// Finds where content lies in a pack.
std::uint64_t place_of(const RepositorySample& sample, const std::string& pack, const std::string& content) {
  const std::size_t at = io::read_file(sample.folder() / pack).find(content.substr(0, 1000));
  REQUIRE(at != std::string::npos);
  return at;
}

TEST_CASE("repository: damage is told with snapshots and paths, remembered, and healed from the source") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  const std::string bytes = random_bytes(200'000, 1);
  tree.file("good", random_bytes(100'000, 2));
  tree.file("hit", bytes);
  tree.hard_link("link-to-hit", "hit");
  tree.file("hit-too", bytes.substr(0, 65536));
  const Snapshot first = sample.back_up(tree);
  const Snapshot second = sample.back_up(tree);
  CHECK(sample.faults().empty());
  CHECK(sample.open().list()[0].verified.has_value());
  sample.flip("packs/00000001.pack", place_of(sample, "packs/00000001.pack", bytes), 3);

  VerifyOptions of_one;
  of_one.snapshot = second.id;
  const auto faults = sample.faults(of_one);
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].file == "packs/00000001.pack");
  CHECK(faults[0].snapshots == Paths{second.id});
  CHECK(faults[0].paths == Paths{"hit", "hit-too"});
  CHECK(sample.faults()[0].snapshots == Paths{first.id, second.id});
  for (const Snapshot& snapshot : sample.open().list()) CHECK(snapshot.damaged.has_value());

  CHECK_THROWS_AS(sample.restore(first.id), Error);
  const Damage damage = restore_what_is_left(sample, first.id);
  CHECK(damage.told.size() == 3);
  CHECK(damage.told.count("link-to-hit") == 1);
  CHECK(damage.files.size() == 2);
  CHECK(sample.restore(first.id, {"good"})[1].bytes == tree["good"].bytes);

  // The states are the same, and the two are read all the same.
  const Snapshot third = sample.back_up(tree);
  CHECK(sample.kept.count("good") == 1);
  CHECK(sample.kept.count("hit") == 0);
  CHECK(third.added_bytes < 40'000);
  CHECK(same(sample.restore(third.id), tree.files));
  of_one.snapshot = third.id;
  CHECK(sample.faults(of_one).empty());
  CHECK_FALSE(sample.open().list()[2].damaged.has_value());
  const Snapshot fourth = sample.back_up(tree);
  CHECK(sample.kept.count("hit") == 1);
  CHECK(same(sample.restore(fourth.id), tree.files));
  CHECK(sample.faults().size() == 1);  // the old ones still are damaged
  CHECK(sample.open().list()[3].verified.has_value());
}

TEST_CASE("repository: after a pack is lost the next run stores what it held") {
  RepositorySample sample;
  MemoryTree tree;
  tree.folder("");
  tree.file("a", random_bytes(3'000'000, 1));
  sample.back_up(tree);
  tree.file("b", random_bytes(2'000'000, 2));
  const Snapshot second = sample.back_up(tree);
  fs::remove(sample.folder() / "packs/00000001.pack");
  const auto faults = sample.faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].paths == Paths{"", "a"});  // of the first one the tree itself
  const Snapshot third = sample.back_up(tree);
  CHECK(sample.kept.count("b") == 1);
  CHECK(same(sample.restore(third.id), tree.files));
  CHECK(restore_what_is_left(sample, second.id).files.size() == 2);
  VerifyOptions of_one;
  of_one.snapshot = third.id;
  CHECK(sample.faults(of_one).empty());
}

TEST_CASE("repository: a damaged description stops neither lists nor backups") {
  TinyRepository sample;
  sample.flip("snapshots/" + sample.second.id, 30, 1);
  const auto listed = sample.open().list();
  REQUIRE(listed.size() == 2);
  CHECK_FALSE(listed[0].damaged.has_value());
  CHECK(listed[1].damaged.has_value());
  CHECK(listed[1].taken == parse_time("2026-11-30T10:15:00Z"));
  const Snapshot third = sample.back_up(sample.tree);
  CHECK(third.id > sample.second.id);
  CHECK(same(sample.restore(third.id), sample.tree.files));
}

TEST_CASE("repository: a sample finds damage in time") {
  RepositorySample sample;
  MemoryTree tree;
  tree.file("a", random_bytes(40'000'000, 1));
  sample.back_up(tree);
  sample.flip("packs/00000001.pack", 20'000'000, 0);
  VerifyOptions options;
  options.sample = 0.3;
  bool found = false;
  std::uint64_t bytes = 0;
  for (int i = 0; i < 60 && !found; ++i) {
    const VerifyReport report = sample.open().verify(options, no_progress());
    found = !report.faults.empty();
    bytes += report.bytes;
    CHECK_FALSE(sample.open().list()[0].verified.has_value());
    CHECK(report.bytes < 40'000'000);
  }
  CHECK(found);
  CHECK(bytes > 0);
}

TEST_CASE("repository: a pack that is another one's is not believed") {
  TinyRepository sample;
  fs::copy_file(sample.folder() / "packs/00000001.pack", sample.folder() / "packs/00000002.pack",
                fs::copy_options::overwrite_existing);
  const auto faults = sample.faults();
  REQUIRE_FALSE(faults.empty());
  CHECK(faults[0].file == "packs/00000002.pack");
  CHECK_THROWS_AS(sample.restore(sample.second.id), Error);
}

TEST_CASE("repository: a pack of other blocks under the right number is found by the digest of files") {
  // As if the drive had an old copy of the repository, whose runs went another way.
  TinyRepository sample;
  RepositorySample other;
  MemoryTree tree;
  tree.folder("");
  tree.file("shared", random_bytes(700, 11));
  tree.file("old", random_bytes(300, 12));
  other.back_up(tree);
  fs::copy_file(other.folder() / "packs/00000001.pack", sample.folder() / "packs/00000001.pack",
                fs::copy_options::overwrite_existing);
  CHECK_THROWS_AS(sample.restore(sample.first.id), Error);
  const Damage damage = restore_what_is_left(sample, sample.second.id);
  CHECK(damage.told.count("shared") == 1);
  bool told = false;
  for (const Fault& fault : sample.faults())
    told = told || (fault.file == "packs/00000001.pack" &&
                    std::find(fault.paths.begin(), fault.paths.end(), "shared") != fault.paths.end());
  CHECK(told);
}

TEST_CASE("repository: hostile packs and descriptions end in an error, whatever they hold") {
  std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): the same bytes each time
  const auto number = [&] { return static_cast<std::uint32_t>(random()); };
  const TinyRepository sample;
  for (unsigned round = 0; round < 300; ++round) {
    std::vector<internal::StoredBlock> rows(random() % 200);
    for (auto& row : rows) {
      row.offset = random() % 3 == 0 ? random() : 16 + random() % 5000;
      row.stored = random() % 3 == 0 ? number() : number() % 5000;
      row.bytes = random() % 3 == 0 ? number() : number() % 5000;
      row.codec = static_cast<internal::Codec>(random() % 3);
    }
    std::string bytes = internal::pack_header(1) + random_bytes(random() % 6000, round);
    bytes += internal::pack_index(1, rows, bytes.size());
    io::replace_file(sample.folder() / "packs/00000001.pack", bytes);
    CHECK_FALSE(sample.faults().empty());
    CHECK_THROWS_AS(sample.restore(sample.first.id), Error);
    restore_what_is_left(sample, sample.second.id);
  }
}

}  // namespace
}  // namespace reef::backup
