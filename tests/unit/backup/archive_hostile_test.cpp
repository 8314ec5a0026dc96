#include <doctest/doctest.h>

#include "archive_parts.h"
#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/tar_record.h"

using namespace reef;
using namespace reef::test;
using backup::Entry;
using backup::internal::append_tar_headers;
using backup::internal::IndexedEntry;
using backup::internal::TarEntry;
using backup::internal::TarScanner;

namespace {

/// The entries of a tar archive; throws what the scanner does.
std::vector<IndexedEntry> scan(const std::string& tar) {
  const auto read = [&](std::uint64_t offset, std::span<std::uint8_t> into) {
    if (offset + into.size() > tar.size()) throw std::out_of_range("read past the end");
    std::memcpy(into.data(), tar.data() + offset, into.size());
  };
  TarScanner scanner(read, tar.size(), "x.tar");
  std::vector<IndexedEntry> all;
  while (auto found = scanner.next()) all.push_back({std::move(*found), {}});
  backup::internal::check_entries(all, "x.tar");
  return all;
}

std::string tar_of(const std::vector<Entry>& entries) {
  std::string tar;
  for (const Entry& entry : entries) append_tar_headers(tar, entry, {});
  return tar + std::string(1024, '\0');
}

bool is_refused(const std::string& tar) {
  try {
    scan(tar);
  } catch (const Error& error) {
    return error.code() == Errc::corrupt;
  }
  return false;
}

}  // namespace

TEST_CASE("archives that lead out of the tree are refused") {
  CHECK(scan(tar_of({folder_entry(""), folder_entry("a"), file_entry("a/b")})).size() == 3);
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", ".."}) {
    CAPTURE(path);
    CHECK(is_refused(tar_of({file_entry(path)})));
    CHECK(is_refused(tar_of({link_entry(path, "x")})));
    CHECK(is_refused(tar_of({file_entry("f"), same_entry("h", path)})));
  }
  CHECK(is_refused(tar_of({folder_entry("../" + std::string(200, 'x'))})));
  CHECK(is_refused(tar_of({link_entry("a", "/etc"), file_entry("a/passwd")})));
  CHECK(is_refused(tar_of({folder_entry("d"), link_entry("d/a", "/etc"), file_entry("d/a/x/passwd")})));
  CHECK(is_refused(tar_of({file_entry("f"), file_entry("f/g")})));
  CHECK(is_refused(tar_of({file_entry("f"), file_entry("f")})));
  CHECK(is_refused(tar_of({file_entry("f"), link_entry("f", "/etc/passwd")})));
  CHECK(is_refused(tar_of({same_entry("h", "f"), file_entry("f")})));
  CHECK(is_refused(tar_of({folder_entry("f"), same_entry("h", "f")})));
  CHECK(is_refused(tar_of({link_entry("l", "/etc/passwd"), same_entry("h", "l")})));
}

TEST_CASE("sizes that are not there are refused") {
  CHECK(is_refused(tar_of({file_entry("f", 513)})));
  CHECK(is_refused(tar_of({file_entry("f", UINT64_MAX)})));
  CHECK(is_refused(tar_of({file_entry("f", UINT64_MAX / 2)})));
  CHECK(is_refused(""));
  CHECK(is_refused(std::string(512, '\0')));
  CHECK(is_refused(tar_of({file_entry("f")}).substr(0, 700)));
  CHECK(is_refused(tar_of({file_entry("f")}) + std::string(512, '\0')));
  CHECK(is_refused(std::string(1024, 'x')));

  // Maps of files with holes.
  const auto sparse = [](const std::string& map, std::uint64_t size) {
    std::string tar;
    append_tar_headers(tar, file_entry("f", size), {{0, 0}, {size, 0}});  // which says that a block of map follows
    std::string block = map;
    block.resize(512, '\0');
    return tar + block + std::string(1024, '\0');
  };
  CHECK(scan(sparse("2\n0\n0\n1000\n0\n", 1000)).front().tar.entry.size_bytes == 1000);
  for (const char* map : {"", "0\n", "9999999999\n", "1\n0\n", "1\n0\n512\n", "1\n1001\n0\n", "2\n500\n0\n400\n0\n",
                          "1\n18446744073709551616\n0\n", "1\n999\n2\n", "1\nx\n0\n", "1\n-1\n0\n", "1\n\n0\n"}) {
    CAPTURE(map);
    CHECK(is_refused(sparse(map, 1000)));
  }
}

TEST_CASE("headers come back whatever is in them") {
  std::vector<Entry> entries = {folder_entry("")};
  for (const std::size_t length : {1U, 99U, 100U, 101U, 155U, 156U, 255U, 256U, 257U, 4000U}) {
    Entry entry = file_entry(std::string(length, 'n'));
    entries.push_back(entry);
    entry.path = "d/" + std::string(length, 'm');
    entry.modified_ns = static_cast<std::int64_t>(length) * 1'000'000'000 - (length % 2 == 0 ? 0 : 1);
    entries.push_back(entry);
    entry.path = std::string(length, 'q') + "/n";
    entry.uid = length == 1 ? UINT32_MAX : 2097151;
    entry.gid = 2097152;
    entry.mode = 07777;
    entries.push_back(entry);
    entries.push_back(link_entry("l" + std::to_string(length), std::string(length, '\xe4')));
    entries.push_back(same_entry("h" + std::to_string(length), std::string(length, 'n')));
  }
  Entry early = folder_entry("early");
  early.modified_ns = -1;
  entries.push_back(early);
  early.path = "first";
  early.modified_ns = INT64_MIN / 2;
  entries.push_back(early);
  const auto found = scan(tar_of(entries));
  REQUIRE(found.size() == entries.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Entry& entry = found[i].tar.entry;
    CHECK(entry.path == entries[i].path);
    CHECK(entry.type == entries[i].type);
    CHECK(entry.modified_ns == entries[i].modified_ns);
    CHECK(entry.mode == entries[i].mode);
    CHECK(entry.uid == entries[i].uid);
    CHECK(entry.gid == entries[i].gid);
    CHECK(entry.link_target == entries[i].link_target);
    CHECK(entry.same_file_as == entries[i].same_file_as);
  }
}

TEST_CASE("every byte of a header that is changed is noticed or changes nothing that it says") {
  const std::string tar = tar_of({file_entry("d/" + std::string(300, 'n')), link_entry("l", "t")});
  for (std::size_t i = 0; i < tar.size(); ++i) {
    for (const char byte : {'\0', ' ', '9', '\xff', 'x', '/'}) {
      std::string changed = tar;
      changed[i] = byte;
      try {
        scan(changed);
      } catch (const Error& error) {
        CHECK(error.code() == Errc::corrupt);
      }
    }
  }
}
