#include "reef/backup/internal/tree_record.h"

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>

#include "reef/core/error.h"

using namespace reef;
using namespace reef::backup;
using namespace reef::backup::internal;

namespace {

TreeRecord record(const std::string& path, EntryType type) {
  TreeRecord made;
  made.entry.path = path;
  made.entry.type = type;
  made.entry.mode = 02750;
  return made;
}

std::vector<TreeRecord> samples() {
  std::string all_bytes;
  for (int c = 1; c < 256; ++c)
    if (c != '/') all_bytes += static_cast<char>(c);
  std::vector<TreeRecord> records{record("", EntryType::folder), record(all_bytes, EntryType::file),
                                  record("b/link", EntryType::link), record("b/c", EntryType::file),
                                  record("shard", EntryType::folder)};
  records[1].entry.size_bytes = UINT64_MAX;
  records[1].entry.modified_ns = -1;
  records[1].entry.uid = UINT32_MAX;
  records[1].entry.state = all_bytes + '/' + '\0';
  records[1].digest = io::sha256("a");
  records[1].counts = {{"messages", 3}, {all_bytes, UINT64_MAX}, {"", 0}};
  records[2].entry.link_target = "../ \n=#";
  records[2].entry.modified_ns = std::int64_t{9'000'000'000} * 1'000'000'000;
  records[3].entry.same_file_as = all_bytes;
  records[3].entry.modified_ns = std::int64_t{-9'000'000'000} * 1'000'000'000 + 1;
  records[4].entry.link_target = "/mnt/a b";
  return records;
}

bool is_same(const TreeRecord& one, const TreeRecord& other) {
  const Entry &a = one.entry, &b = other.entry;
  return a.path == b.path && a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
         a.modified_ns == b.modified_ns && a.size_bytes == b.size_bytes && a.link_target == b.link_target &&
         a.same_file_as == b.same_file_as && a.state == b.state && one.digest == other.digest &&
         one.counts == other.counts;
}

}  // namespace

TEST_CASE("a list of entries gives back each byte of names, states and tables, and the ends of numbers") {
  const auto records = samples();
  const std::string text = to_mtree(records);
  CHECK(text.find_first_not_of("\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
                               "abcdefghijklmnopqrstuvwxyz{|}~") == std::string::npos);
  const auto read = from_mtree(text, "list");
  REQUIRE(read.size() == records.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    CAPTURE(i);
    CHECK(is_same(read[i], records[i]));
  }
  CHECK(from_mtree(to_mtree({}), "list").empty());
}

TEST_CASE("a list of entries is as mtree(5) has it") {
  TreeRecord file = record("config/a b", EntryType::file);
  file.entry.size_bytes = 5;
  file.entry.modified_ns = 1'764'475'200'000'000'001;
  file.entry.state = "1 2";
  file.digest = io::sha256("a");
  file.counts = {{"rows", 7}};
  CHECK(to_mtree({record("", EntryType::folder), file}) ==
        "#mtree\n"
        ". type=dir mode=2750 uid=0 gid=0 time=0.000000000\n"
        "./config/a\\040b type=file mode=2750 uid=0 gid=0 time=1764475200.000000001 size=5 "
        "sha256digest=ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\n"
        "#  state=1\\0402 rows=rows:7\n"
        "# reef: 2 entries\n");
}

TEST_CASE("a list of entries that is cut or changed anywhere is refused or read, and nothing worse") {
  const std::string text = to_mtree(samples());
  for (std::size_t at = 0; at < text.size(); ++at) {
    CAPTURE(at);
    CHECK_THROWS_AS(from_mtree(text.substr(0, at), "list"), Error);
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = text;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      try {
        from_mtree(bad, "list");
      } catch (const Error& error) {
        REQUIRE(error.code() == Errc::corrupt);
        REQUIRE(std::string(error.what()).find("list, line ") == 0);
      }
    }
  }
}

TEST_CASE("lines of a list that no snapshot has are refused") {
  const auto list = [](const std::string& lines, int count = 1) {
    return "#mtree\n" + lines + "# reef: " + std::to_string(count) + " entries\n";
  };
  const std::string folder = "./a type=dir mode=0750 uid=0 gid=0 time=0.000000000\n";
  CHECK(from_mtree(list(folder), "list").size() == 1);
  for (const std::string& bad : {
           std::string("./a\n"),
           std::string("a type=dir mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("./ type=dir mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("./a type=pipe mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("./a type=dir mode=0790 uid=0 gid=0 time=0.000000000\n"),
           std::string("./a type=dir mode=0750 uid=-1 gid=0 time=0.000000000\n"),
           std::string("./a type=dir mode=0750 uid=0 gid=4294967296 time=0.000000000\n"),
           std::string("./a type=dir mode=0750 uid=0 gid=0 time=0\n"),
           std::string("./a type=dir mode=0750 uid=0 gid=0 time=99999999999999.000000000\n"),
           std::string("./a type=link mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("./a type=file mode=0750 uid=0 gid=0 time=0.000000000 size=1\n"),
           std::string("./a type=file mode=0750 uid=0 gid=0 time=0.000000000 size=1 sha256digest=00\n"),
           std::string("./\\4 type=dir mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("./\\777 type=dir mode=0750 uid=0 gid=0 time=0.000000000\n"),
           std::string("#  state=1\n"),
           folder + folder,
       }) {
    CAPTURE(bad);
    CHECK_THROWS_AS(from_mtree(list(bad), "list"), Error);
  }
  CHECK_THROWS_AS(from_mtree(list(folder) + "more", "list"), Error);
  CHECK_THROWS_AS(from_mtree("", "list"), Error);
}

TEST_CASE("sums have names as coreutils writes them") {
  std::string sums;
  add_sum(sums, io::sha256("a"), "plain \xff");
  add_sum(sums, io::sha256("a"), "a\nb\\c\rd");
  const std::string digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
  CHECK(sums == digest + "  plain \xff\n\\" + digest + "  a\\nb\\\\c\\rd\n");
}
