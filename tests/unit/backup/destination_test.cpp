#include "reef/backup/destination.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "reef/core/error.h"
#include "support/temp_dir.h"

using reef::Errc;
using reef::Error;
using reef::backup::Destination;
using reef::backup::DestinationOptions;
using reef::test::TempDir;
namespace fs = std::filesystem;

namespace {

struct Fixture {
  TempDir dir;
  fs::path folder = dir / "destination";
  DestinationOptions options{dir / "tree", {}, false, {}};

  Fixture() {
    fs::create_directory(folder);
    fs::create_directory(options.tree);
  }
  Destination open(int tier = 2) const { return Destination::open_for_writing(folder, tier, options); }
  std::string make() const { return open().id(); }
  std::string marker() const { return reef::io::read_file(folder / ".reef-backup"); }
  void set_marker(const std::string& text) const { std::ofstream(folder / ".reef-backup", std::ios::binary) << text; }
};

template <class Call>
Errc code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK_FALSE(error.hint().empty());
    return error.code();
  }
  FAIL("nothing was thrown");
  return Errc::failed;
}

std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("a destination: an empty folder is marked once, and known again") {
  Fixture fixture;
  const std::string id = fixture.make();
  CHECK(id.size() == 16);
  const std::string marker = fixture.marker();
  const Destination again = fixture.open();
  CHECK(again.id() == id);
  CHECK_FALSE(again.is_new());
  CHECK(fixture.marker() == marker);
  CHECK(marker.find("\"tier\":2") != std::string::npos);
}

TEST_CASE("a destination: a new drive has lost+found, and a killed run leaves its lock and temporary marker") {
  Fixture fixture;
  fs::create_directory(fixture.folder / "lost+found");
  std::ofstream(fixture.folder / ".lock") << "1\n";
  std::ofstream(fixture.folder / "..reef-backup.abcdef.tmp") << "{";
  CHECK(fixture.open().is_new());
}

TEST_CASE("a destination: what is not there, is no folder, or is a link is refused and not made") {
  Fixture fixture;
  fixture.folder = fixture.dir / "absent";
  CHECK(code_of([&] { fixture.open(); }) == Errc::not_found);
  CHECK(code_of([&] { Destination::open_for_reading(fixture.folder, 2); }) == Errc::not_found);
  CHECK_FALSE(fs::exists(fixture.folder));
  fs::create_directory_symlink(fixture.dir / "destination", fixture.folder);
  CHECK(code_of([&] { fixture.open(); }) == Errc::usage);
  fixture.folder = fixture.dir / "file";
  std::ofstream(fixture.folder) << "x";
  CHECK(code_of([&] { fixture.open(); }) == Errc::usage);
}

TEST_CASE("a destination: the tree itself and folders in it are refused, also through a link on the way") {
  Fixture fixture;
  fs::create_directories(fixture.options.tree / "data/backups");
  fixture.folder = fixture.options.tree / "data/backups";
  CHECK(code_of([&] { fixture.open(); }) == Errc::usage);
  fs::create_directory_symlink(fixture.options.tree, fixture.dir / "way");
  fixture.folder = fixture.dir / "way/data";
  CHECK(code_of([&] { fixture.open(); }) == Errc::usage);
  fixture.folder = fixture.options.tree;
  CHECK(code_of([&] { fixture.open(); }) == Errc::usage);
  fs::create_directory(fixture.dir / "tree2");
  fixture.folder = fixture.dir / "tree2";
  CHECK(fixture.open().is_new());
}

TEST_CASE("a destination: an empty folder where a known one was is an unmounted drive, and nothing is written to it") {
  Fixture fixture;
  fixture.options.known_id = "0123456789abcdef";
  CHECK(code_of([&] { fixture.open(); }) == Errc::failed);
  CHECK(entries_of(fixture.folder) == 0);
  fixture.options.adopt = true;
  const Destination destination = fixture.open();
  CHECK(destination.is_new());
  CHECK(destination.id() != fixture.options.known_id);
}

TEST_CASE("a destination: files without a marker, another tier and another id are refused") {
  Fixture fixture;
  std::ofstream(fixture.folder / "thesis.odt") << "x";
  CHECK(code_of([&] { fixture.open(); }) == Errc::failed);
  fixture.options.adopt = true;
  CHECK(code_of([&] { fixture.open(); }) == Errc::failed);
  CHECK(entries_of(fixture.folder) == 1);
  fs::remove(fixture.folder / "thesis.odt");
  fixture.options.adopt = false;
  const std::string id = fixture.make();

  CHECK(code_of([&] { fixture.open(1); }) == Errc::failed);
  CHECK(code_of([&] { Destination::open_for_reading(fixture.folder, 1); }) == Errc::failed);
  fixture.options.known_id = "0123456789abcdef";
  CHECK(code_of([&] { fixture.open(); }) == Errc::failed);
  fixture.options.adopt = true;
  CHECK(fixture.open().id() == id);
  fixture.options.known_id.clear();
  fixture.options.adopt = false;
  fixture.options.tree = fixture.dir / "another tree";
  CHECK(code_of([&] { fixture.open(); }) == Errc::failed);
}

TEST_CASE("a destination: two runs at once end with the holder's name") {
  Fixture fixture;
  std::array<int, 2> pipe_ends{};
  REQUIRE(::pipe(pipe_ends.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Destination held = fixture.open();
    [[maybe_unused]] auto told = ::write(pipe_ends[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(pipe_ends[0], &byte, 1) == 1);
  try {
    fixture.open();
    FAIL("both have it");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::locked);
    CHECK(std::string(error.what()).find(std::to_string(child)) != std::string::npos);
  }
  CHECK(Destination::open_for_reading(fixture.folder, 2).id().size() == 16);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  CHECK(fixture.open().is_locked());
}

TEST_CASE(
    "a destination: each flipped bit of a marker is noticed, does not keep readers out, and is mended on request") {
  Fixture fixture;
  fixture.make();
  const std::string good = fixture.marker();
  for (std::size_t at = 0; at < good.size(); ++at) {
    CAPTURE(at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    fixture.set_marker(bad);
    CHECK(code_of([&] { fixture.open(); }) == Errc::corrupt);
    CHECK_FALSE(Destination::open_for_reading(fixture.folder, 2).fault().empty());
    fixture.set_marker(good.substr(0, at));
    CHECK(code_of([&] { fixture.open(); }) == Errc::corrupt);
  }
  fixture.options.adopt = true;
  CHECK(fixture.open().is_new());
  CHECK(Destination::open_for_reading(fixture.folder, 2).fault().empty());
}

TEST_CASE("a destination: room is what is free without the reserve") {
  Fixture fixture;
  const Destination destination = fixture.open();
  const std::uint64_t free = destination.free_bytes();
  CHECK(free > 0);
  CHECK(free < fs::space(fixture.folder).free);
  destination.require_room(1);
  CHECK(code_of([&] { destination.require_room(fs::space(fixture.folder).capacity); }) == Errc::failed);
  CHECK(destination.is_same_filesystem(fixture.options.tree));
  if (fs::exists("/proc/self")) CHECK_FALSE(destination.is_same_filesystem("/proc/self"));
}
