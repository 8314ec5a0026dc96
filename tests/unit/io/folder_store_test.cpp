#include <doctest/doctest.h>
#include <sys/stat.h>

#include <stdexcept>
#include <string>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/object_store.h"
#include "support/temp_dir.h"
#include "unit/io/small_disk.h"

namespace reef::io {
namespace {

template <typename Body>
Errc code_of(const Body& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  return Errc::usage;
}

std::string keys_of(const std::vector<StoredObject>& objects) {
  std::string text;
  for (const StoredObject& object : objects) text += object.key + ":" + std::to_string(object.bytes) + " ";
  return text;
}

std::string part_of(ObjectStore& store, const std::string& key, std::uint64_t offset, std::uint64_t count) {
  std::string bytes;
  store.read(key, offset, count, [&](auto piece) {
    CHECK(!piece.empty());
    bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return bytes;
}

struct Counted : Progress {
  void begin(std::string_view, std::uint64_t, ProgressUnit) override { ++begun; }
  void advance(std::uint64_t count) override { bytes += count; }
  void end() override {}
  int begun = 0;
  std::uint64_t bytes = 0;
};

}  // namespace

TEST_CASE("keys of objects are what every service signs alike and every folder can hold") {
  for (const char* key : {"a", "a/b", "models/0123abcdef", "system-20260101T000000Z.tar.zst", "A-Z_0.9", "a..b"})
    CHECK_MESSAGE(is_object_key(key), key);
  for (const char* key : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", ".hidden", "a/.b", "a b", "ä", "a%41",
                          "a\nb", "a+b", "a?b", "a~b"})
    CHECK_FALSE_MESSAGE(is_object_key(key), key);
  CHECK_FALSE(is_object_key(std::string_view("a\0b", 3)));
  const std::string part(200, 'a');
  CHECK(is_object_key(part + "/" + part + "/" + part + "/" + part));
  CHECK_FALSE(is_object_key(part + "a"));
  CHECK_FALSE(is_object_key(part + "/" + part + "/" + part + "/" + part + "/" + part));
  const test::TempDir dir;
  FolderStore store(dir.path());
  CHECK_THROWS_AS(store.put("../a", ""), std::logic_error);
  CHECK_THROWS_AS(store.find(""), std::logic_error);
}

TEST_CASE("a folder is a store: objects are put, found, listed, read and removed") {
  const test::TempDir dir;
  FolderStore store(dir.path());
  CHECK(store.name() == shown(dir.path()));
  CHECK(store.list("").empty());
  CHECK(store.find("a/b") == std::nullopt);
  store.put("a/b", "first");
  store.put("a/b", "second");
  store.put("a/b-c", "");
  store.put("a/bc/d", "xyz");
  store.put("z", "12");
  CHECK(store.find("a/b") == 6);
  CHECK(store.find("a/bc") == std::nullopt);  // a folder
  CHECK(store.find("z/below") == std::nullopt);
  CHECK(store.get("a/b", 6) == "second");
  CHECK(store.get("a/b-c", 0).empty());
  CHECK(code_of([&] { store.get("a/b", 5); }) == Errc::corrupt);
  CHECK(code_of([&] { store.get("absent", 5); }) == Errc::not_found);
  CHECK(*store.local_path("a/b") == dir / "a/b");

  // Others' files are none of the store's.
  replace_file(dir / ".lock", "1");
  replace_file(dir / "has space", "1");
  replace_file(dir / ".a.aaaaaa.tmp", "1");
  fs::create_symlink("z", dir / "link");
  CHECK(keys_of(store.list("")) == "a/b:6 a/b-c:0 a/bc/d:3 z:2 ");
  CHECK(keys_of(store.list("a/b")) == "a/b:6 a/b-c:0 a/bc/d:3 ");
  CHECK(keys_of(store.list("a/bc/")) == "a/bc/d:3 ");
  CHECK(keys_of(store.list("b")).empty());

  CHECK(part_of(store, "a/b", 2, 3) == "con");
  CHECK(part_of(store, "a/b", 6, 0).empty());
  CHECK(code_of([&] { part_of(store, "a/b", 5, 2); }) == Errc::corrupt);
  CHECK(code_of([&] { part_of(store, "absent", 0, 1); }) == Errc::not_found);

  store.remove("a/b");
  store.remove("a/b");
  store.remove("z/below");
  CHECK(keys_of(store.list("a/b")) == "a/b-c:0 a/bc/d:3 ");
}

TEST_CASE("files go into a folder and out of it only with the digest that is promised") {
  const test::TempDir dir;
  fs::create_directory(dir / "store");
  FolderStore store(dir / "store");
  std::string bytes(5'000'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); i += 7) bytes[i] = static_cast<char>(i >> 3);
  replace_file(dir / "file", bytes);
  const Sha256Digest sha256 = io::sha256(bytes);
  Counted progress;
  store.put_file("models/a", dir / "file", sha256, progress);
  CHECK(progress.bytes == bytes.size());
  CHECK(progress.begun == 0);
  CHECK(store.get("models/a", bytes.size()) == bytes);
  CHECK(part_of(store, "models/a", 1, 4'000'000) == bytes.substr(1, 4'000'000));

  CHECK(code_of([&] { store.put_file("models/b", dir / "file", io::sha256("other"), progress); }) == Errc::failed);
  CHECK(code_of([&] { store.put_file("models/b", dir / "absent", sha256, progress); }) == Errc::not_found);
  CHECK(keys_of(store.list("")) == "models/a:5000000 ");
  CHECK(std::distance(fs::directory_iterator(dir / "store/models"), {}) == 1);

  store.get_file("models/a", dir / "back", sha256, progress);
  CHECK(read_file(dir / "back") == bytes);
  CHECK(code_of([&] { store.get_file("models/a", dir / "back", io::sha256("other"), progress); }) == Errc::corrupt);
  CHECK(read_file(dir / "back") == bytes);
  CHECK(code_of([&] { store.get_file("absent", dir / "back", sha256, progress); }) == Errc::not_found);
}

TEST_CASE("on a full drive the object that was there stays") {
  const test::SmallDisk disk(1 << 20);
  if (!disk.mounted()) return;
  const test::TempDir dir;
  const std::string bytes(2 << 20, 'x');
  replace_file(dir / "file", bytes);
  FolderStore store(disk.path());
  store.put("a", "old");
  CHECK(code_of([&] { store.put("a", bytes); }) == Errc::failed);
  CHECK(code_of([&] { store.put_file("a", dir / "file", io::sha256(bytes), no_progress()); }) == Errc::failed);
  CHECK(store.get("a", 3) == "old");
  CHECK(std::distance(fs::directory_iterator(disk.path()), {}) == 1);
  store.remove("a");
  CHECK(store.find("a") == std::nullopt);
}

TEST_CASE("a store whose drive is missing is not made anew") {
  const test::TempDir dir;
  FolderStore store(dir / "mount");
  CHECK(code_of([&] { store.put("a/b", "x"); }) == Errc::not_found);
  CHECK(code_of([&] { store.put("a", "x"); }) == Errc::not_found);
  CHECK_FALSE(fs::exists(dir / "mount"));
  CHECK_THROWS_AS(store.list(""), Error);
}

}  // namespace reef::io
