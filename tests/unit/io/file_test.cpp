#include "reef/io/file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <functional>
#include <string>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "support/temp_dir.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

Errc code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  FAIL("did not throw");
  return Errc::failed;
}

unsigned mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::size_t entries(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

TEST_CASE("a path is shown so that a person can copy it") {
  CHECK(shown("/srv/reef/model.safetensors") == "/srv/reef/model.safetensors");
  CHECK(shown("/srv/my models/a") == "'/srv/my models/a'");
  CHECK(shown("it's") == "\"it's\"");
  CHECK(shown("a\x1b[2J\xFF") == "a\\x1b[2J\\xff");
  CHECK(shown("Grüße") == "Grüße");
  CHECK(shown("") == "''");
}

TEST_CASE("read_file reads everything, up to its limit") {
  const test::TempDir dir;
  const std::string bytes(200'000, 'x');
  replace_file(dir / "a", bytes);
  CHECK(read_file(dir / "a") == bytes);
  CHECK(read_file(dir / "a", bytes.size()) == bytes);
  CHECK_THROWS_WITH_AS(read_file(dir / "a", 10), doctest::Contains("10 bytes allowed"), Error);
  replace_file(dir / "empty", "");
  CHECK(read_file(dir / "empty", 0).empty());
  CHECK_FALSE(read_file("/proc/self/stat").empty());  // its size is 0
  CHECK(code_of([&] { read_file(dir / "absent"); }) == Errc::not_found);
  CHECK(code_of([&] { read_file(dir.path()); }) == Errc::failed);
}

TEST_CASE("reading past the end is damage, with the place") {
  const test::TempDir dir;
  replace_file(dir / "a", "0123456789");
  const UniqueFd fd = open_file(dir / "a", O_RDONLY);
  std::string into(4, '\0');
  pread_exact(fd.get(), into.data(), 4, 6, dir / "a");
  CHECK(into == "6789");
  CHECK(code_of([&] { pread_exact(fd.get(), into.data(), 4, 8, dir / "a"); }) == Errc::corrupt);
  CHECK(file_size(fd.get(), dir / "a") == 10);
}

TEST_CASE("writes continue where they were cut short, and fail with the name") {
  const test::TempDir dir;
  const UniqueFd fd = open_file(dir / "a", O_RDWR | O_CREAT);
  write_all(fd.get(), "hello world", dir / "a");
  pwrite_all(fd.get(), "W", 6, dir / "a");
  CHECK(read_file(dir / "a") == "hello World");
  const UniqueFd full = open_file("/dev/full", O_WRONLY);
  CHECK_THROWS_WITH_AS(write_all(full.get(), "x", "/dev/full"), "write /dev/full: No space left on device", Error);
}

TEST_CASE("descriptors are not handed to children") {
  const test::TempDir dir;
  const StagedFile staged(dir / "a");
  const UniqueFd fd = open_file(dir / "b", O_RDWR | O_CREAT);
  CHECK((::fcntl(staged.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("replace_file sets the mode asked for, whatever the umask") {
  const test::TempDir dir;
  const mode_t before = ::umask(077);
  replace_file(dir / "shared", "x");
  replace_file(dir / "key", "x", 0600);
  ::umask(before);
  CHECK(mode_of(dir / "shared") == 0640);
  CHECK(mode_of(dir / "key") == 0600);
  replace_file(dir / "shared", "y");
  CHECK(read_file(dir / "shared") == "y");
  CHECK(entries(dir.path()) == 2);
}

TEST_CASE("a staged file appears with commit, or not at all") {
  const test::TempDir dir;
  replace_file(dir / "a", "old");
  {
    StagedFile staged(dir / "a");
    staged.write("new, not finish");
    CHECK(read_file(dir / "a") == "old");
  }
  CHECK(read_file(dir / "a") == "old");
  CHECK(entries(dir.path()) == 1);
  {
    StagedFile staged(dir / "a");
    staged.write("new");
    staged.commit();
  }
  CHECK(read_file(dir / "a") == "new");
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("a new file replaces nothing, not even a link to nowhere") {
  const test::TempDir dir;
  replace_file(dir / "a", "old");
  fs::create_symlink("nowhere", dir / "link");
  for (const char* name : {"a", "link"}) {
    StagedFile staged(dir / name);
    staged.write("new");
    CHECK_FALSE(staged.commit_new());
  }
  CHECK(read_file(dir / "a") == "old");
  CHECK(fs::is_symlink(dir / "link"));
  StagedFile staged(dir / "b");
  staged.write("new");
  CHECK(staged.commit_new());
  CHECK(read_file(dir / "b") == "new");
  CHECK(entries(dir.path()) == 3);
}

TEST_CASE("a commit that fails leaves the old state") {
  const test::TempDir dir;
  fs::create_directory(dir / "a");
  replace_file(dir / "a" / "inside", "kept");
  CHECK(code_of([&] { replace_file(dir / "a", "x"); }) == Errc::failed);  // a folder is in the way
  CHECK(read_file(dir / "a" / "inside") == "kept");
  CHECK(entries(dir.path()) == 1);
  CHECK(code_of([&] { replace_file(dir / "absent" / "a", "x"); }) == Errc::not_found);
}

TEST_CASE("names as long as a filesystem allows can be staged") {
  const test::TempDir dir;
  const std::string name(255, 'n');
  replace_file(dir / name, "x");
  CHECK(read_file(dir / name) == "x");
}

TEST_CASE("remove_stale takes what killed runs left, and nothing else") {
  const test::TempDir dir;
  const fs::path folder = temporary_name(dir / "model");
  fs::create_directories(folder / "deeper");
  replace_file(folder / "deeper" / "a", "x");
  replace_file(temporary_name(dir / "b.json"), "x");
  fs::create_symlink(dir / "kept.tmp", temporary_name(dir / "link"));
  for (const char* kept : {"kept.tmp", ".kept.tmp", ".a.12345.tmp", ".a.1234567.tm", "a.123456.tmp", "..12 456.tmp"}) {
    replace_file(dir / kept, "x");
  }
  CHECK(remove_stale(dir.path()) == 3);
  CHECK(remove_stale(dir.path()) == 0);
  CHECK(entries(dir.path()) == 6);
  CHECK(remove_stale(dir / "absent") == 0);
  CHECK_THROWS_AS(remove_stale(dir / "kept.tmp"), Error);
}

TEST_CASE("what killed runs left for one name goes, but nothing that a process has open") {
  const test::TempDir dir;
  const fs::path target = dir / "out.npy";
  for (int i = 0; i < 2; ++i) replace_file(temporary_name(target), "left");
  replace_file(temporary_name(dir / "other.npy"), "another name's");
  replace_file(temporary_name(dir / "x.out.npy"), "another name's");
  replace_file(target, "old");
  fs::create_directory(temporary_name(target));
  fs::create_symlink(target, temporary_name(target));
  StagedFile written(target);
  written.write("new");
  remove_stale_of(target);
  CHECK(entries(dir.path()) == 6);
  CHECK(fs::exists(written.temporary_path()));
  written.commit();
  CHECK(read_file(target) == "new");
  const std::string long_name(255, 'n');
  replace_file(temporary_name(dir / long_name), "left");
  remove_stale_of(dir / long_name);
  CHECK(entries(dir.path()) == 5);
  remove_stale_of(dir / "absent/out.npy");
}

TEST_CASE("a pending signal stops long reads and writes, and the target stays old") {
  const test::TempDir dir;
  replace_file(dir / "a", "old");
  const std::string large(std::size_t{20} << 20, 'x');
  pending_signal = SIGTERM;
  CHECK(code_of([&] { replace_file(dir / "a", large); }) == Errc::interrupted);
  CHECK(code_of([&] { read_file(dir / "a"); }) == Errc::interrupted);
  pending_signal = 0;
  CHECK(read_file(dir / "a") == "old");
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("on a full disk the old file stays and the temporary one goes") {
  const test::SmallDisk disk(1 << 20);
  if (!disk.mounted()) return;
  replace_file(disk.path() / "a", "old");
  const std::string large(2 << 20, 'x');
  try {
    replace_file(disk.path() / "a", large);
    FAIL("the disk was not full");
  } catch (const Error& e) {
    CHECK(e.code() == Errc::failed);
    CHECK(e.hint().find("free some space") == 0);
  }
  CHECK(read_file(disk.path() / "a") == "old");
  CHECK(entries(disk.path()) == 1);
}

struct Told {
  std::uint64_t bytes = 0;
};
void tell(void* context, std::uint64_t count) { static_cast<Told*>(context)->bytes += count; }

void check_copy(const fs::path& from, const fs::path& to) {
  const UniqueFd source = open_file(from, O_RDONLY);
  const UniqueFd target = open_file(to, O_RDWR | O_CREAT | O_EXCL);
  Told told;
  copy_contents(source.get(), target.get(), from, to, tell, &told);
  const std::string expected = read_file(from);
  CHECK(read_file(to) == expected);
  CHECK(told.bytes == expected.size());
}

TEST_CASE("copy_contents copies, within a filesystem and across") {
  const test::TempDir dir;
  std::string bytes(3'000'001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
  replace_file(dir / "from", bytes);
  replace_file(dir / "empty", "");
  check_copy(dir / "from", dir / "to");
  check_copy(dir / "empty", dir / "to2");
  const UniqueFd source = open_file("/proc/self/status", O_RDONLY);  // a size of 0, and content
  const UniqueFd target = open_file(dir / "proc", O_RDWR | O_CREAT);
  copy_contents(source.get(), target.get(), "/proc/self/status", dir / "proc");
  CHECK(read_file(dir / "proc").find("Pid:") != std::string::npos);
  const test::SmallDisk disk(8 << 20);
  if (disk.mounted()) check_copy(dir / "from", disk.path() / "to");
}

TEST_CASE("copy_contents says which disk is full") {
  const test::TempDir dir;
  const test::SmallDisk disk(1 << 20);
  if (!disk.mounted()) return;
  replace_file(dir / "from", std::string(2 << 20, 'x'));
  const UniqueFd source = open_file(dir / "from", O_RDONLY);
  const UniqueFd target = open_file(disk.path() / "to", O_RDWR | O_CREAT);
  CHECK_THROWS_WITH_AS(copy_contents(source.get(), target.get(), dir / "from", disk.path() / "to"),
                       doctest::Contains((disk.path() / "to: No space left").c_str()), Error);
}

}  // namespace
}  // namespace reef::io
