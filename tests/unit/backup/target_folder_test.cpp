#include "reef/backup/target_folder.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

using namespace reef;
using namespace reef::backup;

namespace {

/// Bytes in memory, with a hole where the test says so.
class Bytes : public Content {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    ++reads;
    if (fails_at && offset + into.size() > *fails_at) throw Error(Errc::failed, "read: Input/output error");
    REQUIRE(offset + into.size() <= bytes_.size());
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    return offset >= hole_begin && offset < hole_end ? std::min<std::uint64_t>(hole_end, bytes_.size()) : offset;
  }
  int descriptor() const override { return fd; }
  Counts finish() override {
    if (changed) throw Changed{};
    return {};
  }

  std::optional<std::uint64_t> fails_at;
  std::uint64_t hole_begin = 0, hole_end = 0;
  bool changed = false;
  int fd = -1;
  mutable std::atomic<int> reads{0};

 private:
  std::string bytes_;
};

Entry file(const std::string& path, unsigned mode = 0640, std::int64_t modified_ns = 1'700'000'000'123'456'789) {
  Entry entry;
  entry.path = path;
  entry.mode = mode;
  entry.uid = ::geteuid();
  entry.gid = ::getegid();
  entry.modified_ns = modified_ns;
  return entry;
}
Entry folder(const std::string& path, unsigned mode = 0750, std::int64_t modified_ns = 1'600'000'000'000'000'001) {
  Entry entry = file(path, mode, modified_ns);
  entry.type = EntryType::folder;
  return entry;
}
Entry symlink_to(const std::string& path, const std::string& target) {
  Entry entry = file(path, 0777);
  entry.type = EntryType::link;
  entry.link_target = target;
  return entry;
}
Entry hard_link(const std::string& path, const std::string& to) {
  Entry entry = file(path);
  entry.same_file_as = to;
  return entry;
}

void put(TargetFolder& target, const Entry& entry, const std::string& bytes) {
  Bytes content(bytes);
  target.put(entry, &content);
}

struct stat status_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}
std::int64_t modified_ns(const struct stat& status) {
  return status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
}
std::size_t names_in(const fs::path& path) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator{}));
}

std::string thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("target folder: a tree is written with its modes and times, folders' last") {
  const test::TempDir temp;
  TargetFolder target(temp / "out");
  CHECK(target.is_new());
  target.put(folder("", 0700, 5), nullptr);
  target.put(folder("a", 0555), nullptr);
  target.put(folder("a/b"), nullptr);
  put(target, file("a/b/f", 0400), "text");
  put(target, file("a/g", 0640, -1), "");
  target.put(symlink_to("a/l", "b/f"), nullptr);
  target.put(hard_link("h", "a/b/f"), nullptr);
  const TargetReport report = target.finish();
  CHECK(report.files == 3);
  CHECK(report.folders == 2);
  CHECK(report.links == 1);
  CHECK(report.bytes == 4);
  CHECK(io::read_file(temp / "out/a/b/f") == "text");
  CHECK((status_of(temp / "out/a/b/f").st_mode & 07777) == 0400);
  CHECK(modified_ns(status_of(temp / "out/a/b/f")) == 1'700'000'000'123'456'789);
  CHECK(modified_ns(status_of(temp / "out/a/g")) == -1);
  CHECK((status_of(temp / "out/a").st_mode & 07777) == 0555);
  CHECK(modified_ns(status_of(temp / "out/a")) == 1'600'000'000'000'000'001);
  CHECK(modified_ns(status_of(temp / "out")) == 5);
  CHECK(fs::read_symlink(temp / "out/a/l") == "b/f");
  CHECK(status_of(temp / "out/h").st_ino == status_of(temp / "out/a/b/f").st_ino);
}

TEST_CASE("target folder: a link on the way is never followed, whoever made it") {
  const test::TempDir temp;
  fs::create_directory(temp / "elsewhere");
  std::ofstream(temp / "elsewhere/victim") << "mine";
  for (const bool is_new : {true, false}) {
    CAPTURE(is_new);
    const fs::path out = temp / (is_new ? "new" : "old");
    if (!is_new) fs::create_directory(out);
    TargetFolder target(out, {.replace = !is_new});
    target.put(symlink_to("a", "../elsewhere"), nullptr);
    CHECK(thrown([&] { put(target, file("a/victim"), "evil"); }).find("is a link or a file here") != std::string::npos);
    CHECK(thrown([&] { target.put(folder("a"), nullptr); }).find("no folder") != std::string::npos);
    CHECK(thrown([&] { target.put(hard_link("h", "a/victim"), nullptr); }).find("hard link") != std::string::npos);
    target.put(symlink_to("victim", "../elsewhere/victim"), nullptr);
    if (is_new)
      CHECK(thrown([&] { put(target, file("victim"), "evil"); }).find("there already") != std::string::npos);
    else
      put(target, file("victim"), "evil");
    CHECK(io::read_file(temp / "elsewhere/victim") == "mine");
    CHECK(names_in(temp / "elsewhere") == 1);
  }
}

TEST_CASE("target folder: paths that lead out are refused") {
  const test::TempDir temp;
  TargetFolder target(temp / "out");
  target.put(folder("a"), nullptr);
  for (const std::string path : {"/etc/x", "../x", "a/../../x", "a//x", "a/", "./x", ".", "..", "a/."}) {
    CAPTURE(path);
    CHECK_THROWS_AS(put(target, file(path), "x"), const Error&);
    CHECK_THROWS_AS(target.put(folder(path), nullptr), const Error&);
    CHECK_THROWS_AS(target.put(symlink_to(path, "y"), nullptr), const Error&);
    CHECK_THROWS_AS(target.put(hard_link("b", path), nullptr), const Error&);
  }
  CHECK_THROWS_AS(put(target, file(std::string("a\0b", 3)), "x"), const Error&);
  CHECK_THROWS_AS(put(target, file(""), "x"), const Error&);
  CHECK_THROWS_AS(put(target, file("never/put"), "x"), const Error&);
  CHECK_THROWS_AS(target.put(file("none"), nullptr), const Error&);
  CHECK_THROWS_AS(target.put(symlink_to("l", ""), nullptr), const Error&);
  CHECK(names_in(temp.path()) == 1);
  CHECK(names_in(temp / "out") == 1);
}

TEST_CASE("target folder: what is there stays, unless it is to be replaced") {
  const test::TempDir temp;
  fs::create_directories(temp / "out/a");
  fs::create_directory(temp / "out/d");
  fs::permissions(temp / "out/a", fs::perms(0711));
  std::ofstream(temp / "out/a/f") << "old";
  {
    TargetFolder target(temp / "out");
    CHECK_FALSE(target.is_new());
    target.put(folder("", 0700), nullptr);
    target.put(folder("a", 0700), nullptr);
    CHECK(thrown([&] { put(target, file("a/f"), "new"); }).find("a/f is there already") != std::string::npos);
    CHECK(io::read_file(temp / "out/a/f") == "old");
    put(target, file("a/g"), "new");
    target.finish();
    CHECK(io::read_file(temp / "out/a/g") == "new");
    CHECK((status_of(temp / "out/a").st_mode & 07777) == 0711);
  }
  TargetFolder target(temp / "out", {.replace = true});
  put(target, file("a/f"), "new");
  target.put(hard_link("a/g", "a/f"), nullptr);
  target.put(hard_link("a/g", "a/f"), nullptr);  // a link to the same file already
  CHECK(thrown([&] { put(target, file("d"), "new"); }).find("there is a folder") != std::string::npos);
  target.finish();
  CHECK(io::read_file(temp / "out/a/f") == "new");
  CHECK(status_of(temp / "out/a/g").st_nlink == 2);
  CHECK(names_in(temp / "out/a") == 2);
  CHECK(names_in(temp / "out") == 2);
}

TEST_CASE("target folder: an entry whose content fails or changed was never put") {
  const test::TempDir temp;
  fs::create_directory(temp / "old");
  for (const char* name : {"new", "old"}) {
    CAPTURE(name);
    TargetFolder target(temp / name);
    Bytes broken(std::string(3 << 20, 'x'));
    broken.fails_at = 2 << 20;
    CHECK_THROWS_AS(target.put(file("f"), &broken), const Error&);
    CHECK(names_in(temp / name) == 0);
    Bytes changed("abc");
    changed.changed = true;
    CHECK_THROWS_AS(target.put(file("f"), &changed), Changed);
    CHECK(names_in(temp / name) == 0);
    put(target, file("f"), "good");
    target.finish();
    CHECK(io::read_file(temp / name / "f") == "good");
  }
}

TEST_CASE("target folder: holes and long runs of zeros take no space, bytes are the same") {
  const test::TempDir temp;
  std::string bytes(std::size_t{24} << 20, '\0');
  for (std::size_t at = 0; at < 100'000; ++at) bytes[at] = static_cast<char>(at * 7 + 1);
  bytes[(std::size_t{11} << 20) + 5] = 'x';
  bytes[(std::size_t{20} << 20) - 1] = 'y';
  for (const unsigned threads : {1U, 3U}) {
    for (const bool with_hole : {true, false}) {
      CAPTURE(threads);
      CAPTURE(with_hole);
      Bytes content(bytes);
      if (with_hole) content.hole_begin = 1 << 20, content.hole_end = 11 << 20;
      const std::string name = std::to_string(threads) + (with_hole ? "h" : "z");
      TargetFolder target(temp / name, {.replace = false, .threads = threads});
      target.put(file("f"), &content);
      target.finish();
      CHECK(io::read_file(temp / name / "f") == bytes);
      CHECK(status_of(temp / name / "f").st_blocks * 512 < 512 << 10);
      if (with_hole) CHECK(content.reads < 18);
    }
  }
}

TEST_CASE("target folder: content with a descriptor is copied in the kernel, with its holes") {
  const test::TempDir temp;
  std::string bytes(std::size_t{8} << 20, '\0');
  bytes.replace(0, 5, "begin");
  bytes.replace(bytes.size() - 3, 3, "end");
  const io::UniqueFd fd = io::open_file(temp / "source", O_RDWR | O_CREAT);
  io::pwrite_all(fd.get(), "begin", 0, "source");
  io::pwrite_all(fd.get(), "end", bytes.size() - 3, "source");
  Bytes content(bytes);
  content.fd = fd.get();
  TargetFolder target(temp / "out");
  target.put(file("f"), &content);
  target.finish();
  CHECK(io::read_file(temp / "out/f") == bytes);
  if (!io::plain_io()) {
    CHECK(content.reads == 0);
    CHECK(status_of(temp / "out/f").st_blocks * 512 < 1 << 20);
  }
}

TEST_CASE("target folder: names that are no UTF-8, deep folders, sizes around a piece") {
  const test::TempDir temp;
  TargetFolder target(temp / "out");
  const std::string odd = "\xff\xfe\n";
  target.put(folder(odd), nullptr);
  put(target, file(odd + "/\x80"), "odd");
  std::string deep = "d";
  target.put(folder(deep), nullptr);
  for (int i = 0; i < 200; ++i) target.put(folder(deep += "/d"), nullptr);
  put(target, file(deep + "/f"), "deep");
  put(target, file("after"), "x");
  for (const std::size_t size : {1U, 65'535U, 65'536U, 65'537U, (1U << 20) - 1, 1U << 20, (1U << 20) + 1}) {
    const std::string bytes(size, 'q');
    put(target, file("s" + std::to_string(size)), bytes);
    CHECK(io::read_file(temp / "out" / ("s" + std::to_string(size))) == bytes);
  }
  target.finish();
  CHECK(io::read_file(temp / "out" / odd / "\x80") == "odd");
  CHECK(io::read_file(temp / "out" / deep / "f") == "deep");
}

TEST_CASE("target folder: set-user-id bits go where the owner cannot be set") {
  const test::TempDir temp;
  TargetFolder target(temp / "out");
  Entry entry = file("f", 06755);
  put(target, entry, "x");
  entry = file("g", 06755);
  entry.uid = ::geteuid() + 1;
  put(target, entry, "x");
  target.finish();
  CHECK((status_of(temp / "out/f").st_mode & 07777) == 06755);
  if (::geteuid() == 0) {
    CHECK(status_of(temp / "out/g").st_uid == 1);
    CHECK((status_of(temp / "out/g").st_mode & 07777) == 06755);
  } else {
    CHECK((status_of(temp / "out/g").st_mode & 07777) == 0755);
  }
}

TEST_CASE("target folder: one whose parent is not there is an error, a file in its place as well") {
  const test::TempDir temp;
  CHECK_THROWS_AS(TargetFolder(temp / "no/such"), const Error&);
  std::ofstream(temp / "file") << "x";
  CHECK_THROWS_AS(TargetFolder(temp / "file"), const Error&);
  TargetFolder target((temp / "out").string() + "/");
  put(target, file("f"), "x");
  target.finish();
  CHECK(io::read_file(temp / "out/f") == "x");
}
