#include "reef/backup/archives.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archives_fixture.h"

using namespace reef;
using namespace reef::test;

TEST_CASE("archives: a snapshot is an archive, a description, and models by digest, and comes back") {
  ArchivesFixture f;
  const Snapshot taken = f.take();
  CHECK(taken.id == kId);
  CHECK(taken.files == 7);
  CHECK(taken.size_bytes == 5 * kMiB + 5 + 3 * kMiB + 2 + kMiB);
  CHECK(f.objects() == std::set<std::string>{"system-" + kId + ".tar.zst", "system-" + kId + ".json",
                                             f.model_of("models/base/m/model.safetensors"),
                                             f.model_of("models/base/m/manifest.json"),
                                             f.model_of("models/adapters/alice/adapter.bin")});
  std::uint64_t bytes = 0;
  for (const auto& object : io::FolderStore(f.to).list("")) bytes += object.bytes;
  CHECK(taken.added_bytes + fs::file_size(f.to / ("system-" + kId + ".json")) == bytes);

  Archives archives(f.options);
  const std::vector<Snapshot> listed = archives.list();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].id == kId);
  CHECK(listed[0].files == taken.files);
  CHECK(listed[0].added_bytes == taken.added_bytes);
  CHECK_FALSE(listed[0].verified);
  f.restore(f.options, kId, f.dir / "out");
  CHECK(f.differences(f.dir / "out") == "");
  CHECK(fs::equivalent(f.dir / "out/models/base/m/model.safetensors", f.dir / "out/models/base/m/same.safetensors"));
  CHECK(fs::last_write_time(f.dir / "out/models/base/m/manifest.json") ==
        fs::last_write_time(f.tree / "models/base/m/manifest.json"));

  std::set<std::string> paths;
  for (const auto& [entry, counts] : archives.entries(kId)) paths.insert(entry.path);
  std::set<std::string> expected = {""};
  for (const auto& entry : fs::recursive_directory_iterator(f.tree))
    expected.insert(entry.path().lexically_relative(f.tree).string());
  CHECK(paths == expected);

  // Selected files, a hard link to a model among them, without all the rest.
  GatheringSink some;
  archives.read(kId, {{"models/base/m/same.safetensors", "config"}}, some, no_progress());
  CHECK(some.paths() == std::vector<std::string>{"", "config", "config/system.yaml", "models", "models/base",
                                                 "models/base/m", "models/base/m/same.safetensors"});
  CHECK(some.texts["models/base/m/same.safetensors"] == some_noise(3 * kMiB));
  CHECK_THROWS_AS(archives.entries("2026-11-29T041501Z"), Error);
  CHECK_THROWS_AS(archives.entries("../x"), Error);
}

TEST_CASE("archives: a tower without reef restores a snapshot") {
  ArchivesFixture f;
  f.take();
  const std::string script =
      "set -e; FROM='" + f.to.string() + "'; mkdir '" + (f.dir / "out").string() + "'; cd '" +
      (f.dir / "out").string() + "'; zstd -dc $FROM/system-*.tar.zst | tar -xpf -; " +
      "while read -r sum path; do cp \"$FROM/models/$sum\" \"$path\"; done < models/.sha256sums; "
      "sha256sum --quiet -c models/.sha256sums";
  CHECK(shell(script) == std::pair<int, std::string>{0, ""});
  CHECK(f.differences(f.dir / "out") == "Only in " + (f.dir / "out/models").string() + ": .sha256sums\n");

  // And that restored tree is backed up and restored like any other.
  fs::rename(f.dir / "out", f.dir / "again");
  fs::rename(f.tree, f.dir / "gone");
  fs::rename(f.dir / "again", f.tree);
  const Snapshot second = f.take(kNow + std::chrono::hours(1));
  f.restore(f.options, second.id, f.dir / "out");
  CHECK(f.differences(f.dir / "out") == "Only in " + (f.tree / "models").string() + ": .sha256sums\n");
}

TEST_CASE("archives: a model that did not change is neither read nor stored again") {
  ArchivesFixture f;
  f.take();
  const fs::path model = f.to / f.model_of("models/base/m/model.safetensors");
  struct stat before {};
  REQUIRE(::stat(model.c_str(), &before) == 0);
  const Snapshot second = f.take(kNow + std::chrono::hours(1));
  struct stat after {};
  REQUIRE(::stat(model.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  CHECK(second.added_bytes == fs::file_size(f.to / ("system-" + second.id + ".tar.zst")));

  // A model of another name and place with the same bytes is stored once.
  fs::create_directory(f.tree / "models/quantized");
  fs::copy(f.tree / "models/base/m", f.tree / "models/quantized/copy");
  const std::set<std::string> objects = f.objects();
  const Snapshot third = f.take(kNow + std::chrono::hours(2));
  CHECK(f.objects().size() == objects.size() + 2);
  f.restore(f.options, third.id, f.dir / "out");
  CHECK(f.differences(f.dir / "out") == "");

  // What is remembered is believed of the state alone, and its loss costs time.
  CHECK(fs::exists(f.options.scratch / "model_digests"));
  io::replace_file(f.options.scratch / "model_digests", "damaged");
  write(f.tree / "models/base/m/manifest.json", "[]");
  const Snapshot fourth = f.take(kNow + std::chrono::hours(3));
  f.restore(f.options, fourth.id, f.dir / "out4");
  CHECK(f.differences(f.dir / "out4") == "");
}

TEST_CASE("archives: ids ascend when the clock goes back, and a second run is refused") {
  ArchivesFixture f;
  f.take();
  CHECK(f.take().id == "2026-11-29T041501Z");
  CHECK(f.take(kNow - std::chrono::hours(48)).id == "2026-11-29T041502Z");
  Archives archives(f.options);
  const auto writer = archives.begin(kNow, no_progress());
  CHECK_THROWS_AS(f.take(), Error);
  try {
    f.take();
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
  }
}

TEST_CASE("archives: one that is not committed leaves nothing, and a killed one's rest goes with the next prune") {
  ArchivesFixture f;
  f.take();
  const std::set<std::string> before = f.objects();
  {
    Archives archives(f.options);
    const auto writer = archives.begin(kNow, no_progress());
    put_text(*writer, "x", some_noise(9 * kMiB));
    put_text(*writer, "models/base/other", "another model");
  }
  std::set<std::string> after = f.objects();
  CHECK(after.erase("models/" + io::to_hex(io::sha256("another model"))) == 1);
  CHECK(after == before);
  CHECK(shell("ls -A '" + f.to.string() + "' | grep tmp").second == "");
  // As if it had been killed before its description was written.
  write(f.to / "system-2026-11-29T041700Z.tar.zst", "half");
  write(f.to / ".system-2026-11-29T041800Z.tar.zst.abcdef.tmp", "staged");
  write(f.to / "models/.model.abcdef.tmp", "staged");
  write(f.to / "system-notes.txt", "the operator's");
  Archives archives(f.options);
  CHECK(archives.list().size() == 1);
  CHECK(f.take().id == "2026-11-29T041701Z");
  const backup::PruneReport report = archives.prune(backup::Retention::parse({"last 4"}), kNow, false);
  CHECK(report.removed.empty());
  CHECK(report.freed_bytes == 4 + 13);
  after = f.objects();
  CHECK(after.count("system-notes.txt") == 1);
  CHECK(after.count("system-2026-11-29T041700Z.tar.zst") == 0);
  CHECK(after.count("models/" + io::to_hex(io::sha256("another model"))) == 0);
  CHECK(shell("find '" + f.to.string() + "' -name '*.tmp'").second == "");
}

TEST_CASE("archives: prune removes snapshots, then models that no other needs") {
  ArchivesFixture f;
  std::vector<std::string> ids;
  const std::string old = f.model_of("models/base/m/manifest.json");
  for (int i = 0; i < 3; ++i) {
    ids.push_back(f.take(kNow + std::chrono::hours(i)).id);
    write(f.tree / "models/base/m/manifest.json", "{" + std::to_string(i) + "}");
  }
  Archives archives(f.options);
  const auto retention = backup::Retention::parse({"last 2"});
  const backup::PruneReport planned = archives.prune(retention, kNow, true);
  CHECK(f.objects().count(old) == 1);
  const backup::PruneReport done = archives.prune(retention, kNow, false);
  REQUIRE(done.removed.size() == 1);
  CHECK(done.removed[0].id == ids[0]);
  CHECK(done.freed_bytes == planned.freed_bytes);
  CHECK(done.freed_bytes > 2);
  CHECK(f.objects().count(old) == 0);
  CHECK(archives.list().size() == 2);
  f.restore(f.options, ids[1], f.dir / "out1");
  // Where a description is damaged, nobody knows which models it needs.
  flip(f.to / ("system-" + ids[1] + ".json"), 30);
  write(f.to / "models" / std::string(64, 'a'), "unknown");
  CHECK(archives.list().size() == 2);
  CHECK(archives.list()[0].damaged);
  archives.prune(retention, kNow, false);
  CHECK(f.objects().count("models/" + std::string(64, 'a')) == 1);
}
