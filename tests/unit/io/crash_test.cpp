// What a run that is killed, or that may not write on, leaves behind.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "support/temp_dir.h"
#include "support/trace_self.h"
#include "unit/io/child.h"

namespace reef::io {
namespace {

/// A version of a file that says itself whether it is whole.
std::string version(int number) {
  const std::string body(50'000 + static_cast<std::size_t>(number % 7), static_cast<char>('a' + number % 26));
  return body + to_hex(sha256(body));
}

bool is_whole(const std::string& bytes) {
  if (bytes.size() < 64) return false;
  const std::string_view body = std::string_view(bytes).substr(0, bytes.size() - 64);
  return to_hex(sha256(body)) == bytes.substr(bytes.size() - 64);
}

ino_t inode_of(const fs::path& file) {
  struct stat info {};
  return ::stat(file.c_str(), &info) == 0 ? info.st_ino : 0;
}

TEST_CASE("replace_file killed at any moment leaves a whole file, and remove_stale the rest") {
  const test::TempDir dir;
  replace_file(dir / "a", version(0));
  std::size_t left_over = 0;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = test::start_child([&] {
      for (int i = 0;; ++i) replace_file(dir / "a", version(i));
      return 1;
    });
    // In the middle of its work, somewhere.
    for (int change = 0; change <= round % 4; ++change)
      REQUIRE(test::wait_until([&, before = inode_of(dir / "a")] { return inode_of(dir / "a") != before; }));
    ::kill(child, SIGKILL);
    test::wait_child(child);
    CHECK_UNARY(is_whole(read_file(dir / "a")));
    left_over += remove_stale(dir.path());
    CHECK(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()) == 1);
  }
  MESSAGE("temporary files that a killed run had left: " << left_over);
}

TEST_CASE("a file size limit fails the write and leaves the old file") {
  const test::TempDir dir;
  replace_file(dir / "a", "old");
  const int status = test::run_child([&] {
    const rlimit limit{1000, 1000};
    std::signal(SIGXFSZ, SIG_IGN);
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    try {
      replace_file(dir / "a", std::string(5000, 'x'));
    } catch (const Error& e) {
      return std::string(e.what()).find("File too large") != std::string::npos ? 0 : 2;
    }
    return 3;
  });
  CHECK(status == 0);
  CHECK(read_file(dir / "a") == "old");
  CHECK(remove_stale(dir.path()) == 0);
}

TEST_CASE("with REEF_IO=plain nothing is copied in the kernel or written through a mapping") {
  const auto trace = test::trace_plain_run("ioctl,copy_file_range,madvise",
                                           "copy_contents copies*,a window takes*,damaged and foreign*");
  if (!trace) return;
  CHECK(trace->find("copy_file_range") == std::string::npos);
  CHECK(trace->find("FICLONE") == std::string::npos);
  CHECK(trace->find("MADV_POPULATE_WRITE") == std::string::npos);
}

TEST_CASE("REEF_ISA=baseline gives the same digests") {
  const test::TempDir dir;
  const fs::path self = fs::read_symlink("/proc/self/exe");
  const ProcessResult result = run_process(
      {"env", "REEF_ISA=baseline", self.string(), "-tc=SHA-256 gives*,digests are those*,two messages*,a message is*"},
      {}, {});
  CHECK(result.status == 0);
}

}  // namespace
}  // namespace reef::io
