#include <doctest/doctest.h>

#include "archives_fixture.h"

using namespace reef;
using namespace reef::test;

TEST_CASE("archives: verify finds and names every fault, notes it, and a backup mends a model") {
  ArchivesFixture f;
  const std::string first = f.take().id;
  const std::string second = f.take(kNow + std::chrono::hours(1)).id;
  Archives archives(f.options);
  backup::VerifyReport report = archives.verify({}, no_progress());
  CHECK(report.faults.empty());
  CHECK(report.snapshots == 2);
  CHECK(report.files == 14);
  CHECK(report.bytes > 4 * kMiB);
  for (const Snapshot& snapshot : archives.list()) CHECK(snapshot.verified);

  const std::string model = f.model_of("models/base/m/model.safetensors");
  flip(f.to / model, 1000);
  report = archives.verify({}, no_progress());
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].file == model);
  CHECK(report.faults[0].snapshots == std::vector<std::string>{first, second});
  CHECK(report.faults[0].paths ==
        std::vector<std::string>{"models/base/m/model.safetensors", "models/base/m/same.safetensors"});
  for (const Snapshot& snapshot : archives.list()) CHECK(snapshot.damaged);
  // All else is restored; the hard link is as damaged as its file.
  GatheringSink sink;
  std::set<std::string> damaged;
  archives.read(second, {}, sink, no_progress(),
                [&](const std::string& path, const std::string&) { damaged.insert(path); });
  CHECK(damaged == std::set<std::string>{"models/base/m/model.safetensors", "models/base/m/same.safetensors"});
  CHECK(sink.texts.count("data/large.sqlite") == 1);
  CHECK_THROWS_AS(f.restore(f.options, second, f.dir / "fails"), Error);
  f.take(kNow + std::chrono::hours(2));
  CHECK(archives.verify({}, no_progress()).faults.empty());
  for (const Snapshot& snapshot : archives.list()) CHECK_FALSE(snapshot.damaged);

  const fs::path archive = f.to / ("system-" + second + ".tar.zst");
  flip(archive, fs::file_size(archive) / 2);
  report = archives.verify({second}, no_progress());
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].file == "system-" + second + ".tar.zst");
  CHECK(report.faults[0].paths == std::vector<std::string>{"data/large.sqlite"});
  CHECK(report.faults[0].snapshots == std::vector<std::string>{second});
  f.restore(f.options, first, f.dir / "first");

  fs::remove(f.to / ("system-" + first + ".tar.zst"));
  fs::remove(f.to / model);
  report = archives.verify({{}, .01}, no_progress());
  std::set<std::string> files;
  for (const auto& fault : report.faults) files.insert(fault.file);
  CHECK(files.count("system-" + first + ".tar.zst") == 1);
  CHECK(files.count(model) == 1);
  CHECK(archives.list()[0].damaged);
}

TEST_CASE("archives: every flipped byte of a small store is found") {
  ArchivesFixture f;
  fs::remove_all(f.tree / "data");
  fs::remove_all(f.tree / "models");
  write(f.tree / "models/base/m", "a model");
  f.take();
  Archives archives(f.options);
  for (const std::string& key : f.objects()) {
    const std::string bytes = io::read_file(f.to / key);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
      std::ofstream(f.to / key, std::ios::binary) << changed;
      CAPTURE(key);
      CAPTURE(i);
      REQUIRE_FALSE(archives.verify({}, no_progress()).faults.empty());
    }
    std::ofstream(f.to / key, std::ios::binary) << bytes;
  }
  CHECK(archives.verify({}, no_progress()).faults.empty());
}

TEST_CASE("archives: in an object store") {
  ArchivesFixture f;
  const auto store = std::make_shared<FarStore>(f.to);
  f.options.store = store;
  const std::string first = f.take().id;
  CHECK(store->files.size() == 4);
  store->files.clear();
  const std::string second = f.take(kNow + std::chrono::hours(1)).id;
  CHECK(store->files == std::set<std::string>{"system-" + second + ".tar.zst"});

  Archives archives(f.options);
  CHECK(archives.list().size() == 2);
  CHECK(archives.entries(first).size() > 10);
  GatheringSink some;
  archives.read(first, {{"config"}}, some, no_progress());
  CHECK(some.texts["config/system.yaml"] == "x: 1\n");
  CHECK(store->brought.empty());
  f.restore(f.options, second, f.dir / "out");
  CHECK(f.differences(f.dir / "out") == "");
  CHECK(archives.verify({}, no_progress()).faults.empty());
  CHECK(archives.verify({{}, .1}, no_progress()).faults.empty());
  flip(f.to / ("system-" + first + ".tar.zst"), 100);
  CHECK(archives.verify({}, no_progress()).faults.size() == 1);
  CHECK(archives.prune(backup::Retention::parse({"last 1"}), kNow, false).removed.size() == 1);
  for (const auto& entry : fs::directory_iterator(f.options.scratch)) {
    const std::string name = entry.path().filename().string();
    CHECK((name == "lock" || name == "model_digests"));
  }
}

TEST_CASE("archives: encrypted, with adapters inside, and opened by standard programs") {
  if (!has_program("age-keygen")) {
    MESSAGE("skipped: no age here");
    return;
  }
  ArchivesFixture f;
  const std::string key = (f.dir / "key").string();
  REQUIRE(shell("age-keygen -o '" + key + "' 2>/dev/null").first == 0);
  std::string recipient = shell("age-keygen -y '" + key + "'").second;
  recipient.pop_back();
  f.options.recipients = {recipient};
  SUBCASE("in a folder") {}
  SUBCASE("in an object store") { f.options.store = std::make_shared<FarStore>(f.to); }
  f.take();
  CHECK(f.objects().count(f.model_of("models/adapters/alice/adapter.bin")) == 0);
  CHECK(f.objects().count("system-" + kId + ".tar.zst.age") == 1);
  Archives closed(f.options);
  CHECK(closed.list().size() == 1);
  CHECK(closed.verify({}, no_progress()).faults.empty());
  CHECK_THROWS_AS(f.restore(f.options, kId, f.dir / "no"), Error);

  ArchivesOptions open = f.options;
  open.identity = key;
  f.restore(open, kId, f.dir / "out");
  CHECK(f.differences(f.dir / "out") == "");
  Archives archives(open);
  CHECK(archives.verify({}, no_progress()).faults.empty());
  const std::string line = "age -d -i '" + key + "' '" + (f.to / ("system-" + kId + ".tar.zst.age")).string() +
                           "' | zstd -dc | tar -xOf - models/adapters/alice/adapter.bin";
  CHECK(shell(line).second == some_noise(kMiB, 8));

  // Damaged in the middle: what age gives is restored, and the rest is told.
  const fs::path archive = f.to / ("system-" + kId + ".tar.zst.age");
  flip(archive, fs::file_size(archive) / 2);
  for (Archives* one : {&closed, &archives}) CHECK_FALSE(one->verify({}, no_progress()).faults.empty());
  f.options.recipients = {"age1nobody"};
  const std::set<std::string> before = f.objects();
  CHECK_THROWS_AS(f.take(), Error);
  CHECK(f.objects() == before);
}
