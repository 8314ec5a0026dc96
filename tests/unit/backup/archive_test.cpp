#include "reef/backup/archive_writer.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "archive_parts.h"
#include "reef/backup/archive_reader.h"
#include "reef/backup/target_folder.h"
#include "reef/core/text.h"

using namespace reef;
using namespace reef::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// A tree of every kind of entry, with contents that fill frames, share them, and have holes.
struct Fixture {
  std::map<std::string, std::string> texts;
  std::string sparse = std::string(9 * kMiB, '\0');
  std::string long_name = "data/" + std::string(120, 'd') + "/" + std::string(140, 'n');
  std::string odd_name = "data/caf\xe9 \xff\n'\"";
  std::string long_odd_name = "data/" + std::string(220, '\xe9');

  Fixture() {
    texts["data/a.json"] = some_text(1000);
    texts["data/empty"] = "";
    texts["data/large.sqlite"] = some_text(9 * kMiB + 12345, 7);
    texts["data/vectors.npy"] = some_noise(6 * kMiB + 1);
    texts[long_name] = "long";
    texts[odd_name] = "odd";
    texts[long_odd_name] = "long and odd";
    for (int i = 0; i < 300; ++i)
      texts["data/small/" + std::to_string(i)] = some_text(20 + 70U * static_cast<unsigned>(i), 3);
    texts["data/exact"] = some_text(4 * kMiB - 1024, 5);  // with its headers more than a frame
    std::memcpy(sparse.data() + 3 * kMiB, "here", 4);
    std::memcpy(sparse.data() + 7 * kMiB + 5, "and here", 8);
  }

  void put(backup::Sink& sink) const {
    sink.put(folder_entry(""), nullptr);
    sink.put(folder_entry("data"), nullptr);
    sink.put(folder_entry("data/" + std::string(120, 'd')), nullptr);
    sink.put(folder_entry("data/small"), nullptr);
    for (const auto& [path, text] : texts) put_text(sink, path, text);
    TextContent holes(sparse, {{"rows", 12}}, {{0, 3 * kMiB}, {3 * kMiB + 4, 4 * kMiB}, {7 * kMiB + 4096, 2 * kMiB}});
    sink.put(file_entry("data/holes", sparse.size()), &holes);
    TextContent nothing(std::string(3 * kMiB + 7, '\0'), {}, {{0, 4 * kMiB}});
    sink.put(file_entry("data/all hole", 3 * kMiB + 7), &nothing);
    sink.put(same_entry("data/hard", "data/a.json"), nullptr);
    sink.put(same_entry("data/hard to long", long_name), nullptr);
    sink.put(link_entry("data/out", "/etc/passwd"), nullptr);
    sink.put(link_entry("data/far", std::string(150, 'x') + "/\xfe"), nullptr);
    backup::Entry old = folder_entry("data/old");
    old.modified_ns = -86'400'000'000'000;
    sink.put(old, nullptr);
  }
};

void check_tree(const fs::path& root, const Fixture& fixture) {
  for (const auto& [path, text] : fixture.texts) {
    CAPTURE(to_valid_utf8(path));
    REQUIRE(fs::exists(root / path));
    CHECK(io::read_file(root / path) == text);
    struct stat status {};
    REQUIRE(::stat((root / path).c_str(), &status) == 0);
    CHECK((status.st_mode & 07777U) == 0640);
    CHECK(status.st_mtim.tv_sec == 1'700'000'000);
    CHECK(status.st_mtim.tv_nsec == 123'456'789);
  }
  CHECK(io::read_file(root / "data/holes") == fixture.sparse);
  struct stat status {};
  REQUIRE(::stat((root / "data/holes").c_str(), &status) == 0);
  CHECK(status.st_blocks * 512 < static_cast<blkcnt_t>(6 * kMiB));
  CHECK(io::read_file(root / "data/all hole") == std::string(3 * kMiB + 7, '\0'));
  CHECK(fs::equivalent(root / "data/hard", root / "data/a.json"));
  CHECK(fs::equivalent(root / "data/hard to long", root / fixture.long_name));
  CHECK(fs::read_symlink(root / "data/out") == "/etc/passwd");
  CHECK(fs::read_symlink(root / "data/far").native() == std::string(150, 'x') + "/\xfe");
  REQUIRE(::stat((root / "data/old").c_str(), &status) == 0);
  CHECK(status.st_mtim.tv_sec == -86'400);
  REQUIRE(::stat((root / "data").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777U) == 02750);
  CHECK(status.st_mtim.tv_nsec == 123'456'789);
}

void write(ArchiveFile& file, const Fixture& fixture) {
  backup::ArchiveWriter writer(file.output(), 2);
  fixture.put(writer);
  writer.finish();
}

}  // namespace

TEST_CASE("an archive is read back as it was put") {
  const Fixture fixture;
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 2);
  fixture.put(writer);
  writer.finish();
  CHECK(writer.files() == fixture.texts.size() + 6);
  CHECK(file.output().size_bytes() == fs::file_size(file.path()));
  CHECK(file.output().sha256() == io::sha256_file(file.path()));

  GatheringSink put;
  fixture.put(put);
  const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
  const backup::FileSource source(fd.get(), file.path());
  const backup::ArchiveReader reader(source, 2);
  GatheringSink read;
  reader.read({}, read, no_progress());
  CHECK(read.paths() == put.paths());
  CHECK(read.texts == put.texts);
  CHECK(read.counts == put.counts);
  const auto entries = reader.entries();
  REQUIRE(entries.size() == put.entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    CAPTURE(to_valid_utf8(put.entries[i].path));
    for (const backup::Entry& entry : {entries[i].first, read.entries[i]}) {
      CHECK(entry.type == put.entries[i].type);
      CHECK(entry.mode == put.entries[i].mode);
      CHECK(entry.uid == put.entries[i].uid);
      CHECK(entry.modified_ns == put.entries[i].modified_ns);
      CHECK(entry.size_bytes == put.entries[i].size_bytes);
      CHECK(entry.link_target == put.entries[i].link_target);
      CHECK(entry.same_file_as == put.entries[i].same_file_as);
    }
  }
  std::uint64_t bytes = 0;
  CHECK(reader.verify(1, no_progress(), bytes).empty());
  CHECK(bytes > 0);
  CHECK(reader.verify(.3, no_progress(), bytes).empty());

  const TempDir dir;
  backup::TargetFolder target(dir / "out");
  reader.read({}, target, no_progress());
  target.finish();
  check_tree(dir / "out", fixture);
}

TEST_CASE("an archive is opened by the programs that every system has") {
  const Fixture fixture;
  ArchiveFile file;
  write(file, fixture);
  const TempDir dir;
  fs::create_directory(dir / "out");
  const std::string archive = "'" + file.path().string() + "'";
  const std::string into = "'" + (dir / "out").string() + "'";

  SUBCASE("zstd and tar") {
    const auto [status, said] = shell("zstd -dc " + archive + " | tar -xpf - -C " + into);
    CHECK(status == 0);
    // Of the names that are long and no UTF-8, in words of which GNU tar has no need, and of the folder of 1969.
    CHECK(said.find("tar: Ignoring unknown extended header keyword 'hdrcharset'\n") == 0);
    CHECK(std::count(said.begin(), said.end(), '\n') == 3);
    check_tree(dir / "out", fixture);
  }
  SUBCASE("tar alone, in another character set") {
    CHECK(shell("LC_ALL=C.UTF-8 tar --zstd -xpf " + archive + " -C " + into).first == 0);
    check_tree(dir / "out", fixture);
  }
  SUBCASE("bsdtar") {
    if (!has_program("bsdtar")) {
      MESSAGE("skipped: no bsdtar here");
      return;
    }
    const auto [status, said] = shell("zstd -dc " + archive + " | bsdtar -xpf - -C " + into);
    CHECK(status == 0);
    CHECK(said == "");
    check_tree(dir / "out", fixture);
  }
  SUBCASE("zstd finds nothing wrong with it") {
    CHECK(shell("zstd -tq " + archive).first == 0);
    const auto [status, said] = shell("zstd -lv " + archive);
    CHECK(status == 0);
    CHECK(said.find("# Skippable Frames: 2") != std::string::npos);
  }
}

TEST_CASE("selected paths come with the folders above them, and hard links with their content") {
  const Fixture fixture;
  ArchiveFile file;
  write(file, fixture);
  const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
  const backup::FileSource source(fd.get(), file.path());
  const backup::ArchiveReader reader(source, 1);
  GatheringSink sink;
  reader.read({{"data/hard", "data/small/7", "data/old"}}, sink, no_progress());
  CHECK(sink.paths() == std::vector<std::string>{"", "data", "data/small", "data/small/7", "data/hard", "data/old"});
  CHECK(sink.texts["data/hard"] == fixture.texts.at("data/a.json"));
  CHECK(sink.entries[4].same_file_as.empty());
  CHECK(sink.entries[4].size_bytes == fixture.texts.at("data/a.json").size());
}

TEST_CASE("an entry that changed while it was read was never put") {
  for (const std::size_t bytes : {std::size_t{100}, 4 * kMiB - 1024, 4 * kMiB, 13 * kMiB}) {
    CAPTURE(bytes);
    ArchiveFile file;
    backup::ArchiveWriter writer(file.output(), 2);
    put_text(writer, "before", some_text(5 * kMiB));
    put_text(writer, "just before", "x");
    TextContent changes(some_noise(bytes, 5));
    changes.changes = true;
    CHECK_THROWS_AS(writer.put(file_entry("torn", bytes), &changes), backup::Changed);
    TextContent fails(some_noise(bytes, 6));
    fails.fails_at = bytes - 1;
    CHECK_THROWS_WITH_AS(writer.put(file_entry("unread", bytes), &fails), "no more", Error);
    const std::string text = some_text(bytes, 9);
    put_text(writer, "torn", text);
    put_text(writer, "after", "y");
    writer.finish();
    CHECK(file.output().size_bytes() == fs::file_size(file.path()));
    CHECK(file.output().sha256() == io::sha256_file(file.path()));

    const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
    const backup::FileSource source(fd.get(), file.path());
    const backup::ArchiveReader reader(source);
    GatheringSink sink;
    reader.read({}, sink, no_progress());
    CHECK(sink.paths() == std::vector<std::string>{"before", "just before", "torn", "after"});
    CHECK(sink.texts["torn"] == text);
    CHECK(sink.texts["before"] == some_text(5 * kMiB));
    std::uint64_t read = 0;
    CHECK(reader.verify(1, no_progress(), read).empty());
    CHECK(shell("zstd -dc '" + file.path().string() + "' | tar -tf - | tr '\\n' ' '").second ==
          "before just before torn after ");
  }
}

TEST_CASE("paths that are none in a tree are not archived") {
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 1);
  for (const char* path : {"/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a/."}) {
    CAPTURE(path);
    TextContent content("x");
    CHECK_THROWS_AS(writer.put(file_entry(path, 1), &content), Error);
  }
}

TEST_CASE("owners and sizes beyond the fields of a header") {
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 2);
  struct Zeros : backup::Content {
    std::uint64_t size_bytes() const override { return (std::uint64_t{8} << 30) + 77; }
    void read(std::uint64_t, std::span<std::uint8_t> into) const override {
      std::fill(into.begin(), into.end(), std::uint8_t{0});
    }
    // Holes but for a mebibyte in the middle and the end.
    std::uint64_t next_data(std::uint64_t offset) const override {
      constexpr std::uint64_t kMiddle = std::uint64_t{5} << 30;
      if (offset < kMiddle) return kMiddle;
      return offset < kMiddle + kMiB ? offset : std::max(offset, size_bytes() - 1);
    }
  } zeros;
  backup::Entry entry = file_entry("huge", zeros.size_bytes());
  entry.uid = 4'000'000'000;
  entry.gid = 3'000'000'000;
  writer.put(entry, &zeros);
  writer.finish();
  CHECK(file.output().size_bytes() < 10'000);
  const auto [status, said] = shell("zstd -dc '" + file.path().string() + "' | tar --numeric-owner -tvf -");
  CHECK(status == 0);
  CHECK(said.find("4000000000/3000000000 8589934669 ") != std::string::npos);
  const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
  const backup::FileSource source(fd.get(), file.path());
  const backup::ArchiveReader reader(source);
  CHECK(reader.entries().front().first.uid == 4'000'000'000);
  CHECK(reader.entries().front().first.size_bytes == zeros.size_bytes());
}

TEST_CASE("an archive of nothing") {
  ArchiveFile file;
  backup::ArchiveWriter writer(file.output(), 1);
  writer.finish();
  const io::UniqueFd fd = io::open_file(file.path(), O_RDONLY);
  const backup::FileSource source(fd.get(), file.path());
  const backup::ArchiveReader reader(source, 1);
  CHECK(reader.entries().empty());
  CHECK(shell("zstd -dc '" + file.path().string() + "' | tar -tf -") == std::pair<int, std::string>{0, ""});
}

TEST_CASE("a full disk ends an archive, from whichever thread it is met") {
  const io::UniqueFd full = io::open_file("/dev/full", O_RDWR);
  backup::FileOutput output(full.get(), "/dev/full");
  backup::ArchiveWriter writer(output, 2);
  const std::string noise = some_noise(5 * kMiB);
  CHECK_THROWS_AS(
      {
        for (int i = 0; i < 20; ++i) put_text(writer, std::to_string(i), noise);
        writer.finish();
      },
      Error);
}
