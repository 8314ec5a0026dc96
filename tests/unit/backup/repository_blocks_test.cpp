#include <doctest/doctest.h>

#include <random>

#include "reef/backup/internal/block_codec.h"
#include "reef/backup/internal/block_finder.h"
#include "reef/backup/internal/block_lists.h"
#include "reef/backup/internal/tree_nodes.h"
#include "repository_sample.h"

namespace reef::backup::internal {
namespace {

using test::random_bytes;
using test::text_bytes;

std::span<const std::uint8_t> span_of(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

TEST_CASE("blocks: coded and decoded, compressed where that pays") {
  BlockEncoder encoder;
  std::vector<std::string> contents{text_bytes(kBlockBytes, 1), random_bytes(kBlockBytes, 2), "x", text_bytes(5000, 3),
                                    random_bytes(77, 4),        text_bytes(kBlockBytes, 5)};
  std::vector<StoredBlock> rows(contents.size());
  std::vector<std::span<const std::uint8_t>> spans;
  std::vector<std::uint8_t> stored;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    spans.push_back(span_of(contents[i]));
    encoder.encode(spans[i], rows[i], stored);
    bytes += contents[i].size();
  }
  name_blocks(spans, rows);
  CHECK(rows[0].codec == Codec::zstd);
  CHECK(rows[0].stored < kBlockBytes / 2);
  CHECK(rows[1].codec == Codec::raw);
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].name == io::sha256(contents[i]));
  std::vector<std::uint8_t> into(bytes);
  decode_blocks(rows, stored, into, [](std::size_t) { FAIL("a good block is told"); });
  std::string all;
  for (const std::string& one : contents) all += one;
  CHECK(std::equal(all.begin(), all.end(), into.begin(),
                   [](char a, std::uint8_t b) { return a == static_cast<char>(b); }));
  // Every flipped bit is told, and of the right block.
  std::size_t begin = 0;
  for (std::size_t i = 0; i < rows.size(); begin += rows[i++].stored) {
    for (std::size_t bit = 0; bit < rows[i].stored * 8; bit += 101) {
      stored[begin + bit / 8] = static_cast<std::uint8_t>(stored[begin + bit / 8] ^ (1U << bit % 8));
      std::vector<std::size_t> bad;
      decode_blocks(rows, stored, into, [&](std::size_t which) { bad.push_back(which); });
      REQUIRE(bad == std::vector<std::size_t>{i});
      stored[begin + bit / 8] = static_cast<std::uint8_t>(stored[begin + bit / 8] ^ (1U << bit % 8));
    }
  }
}

TEST_CASE("blocks: what does not compress is tried ever less, and text behind it is found again") {
  BlockEncoder encoder;
  StoredBlock row;
  std::vector<std::uint8_t> out;
  for (unsigned i = 0; i < 200; ++i) encoder.encode(span_of(random_bytes(kBlockBytes, i)), row, out);
  CHECK(out.size() == 200 * kBlockBytes);
  unsigned compressed = 0;
  for (unsigned i = 0; i < 200; ++i) {
    encoder.encode(span_of(text_bytes(kBlockBytes, i)), row, out);
    compressed += row.codec == Codec::zstd ? 1 : 0;
  }
  CHECK(compressed > 130);
}

TEST_CASE("blocks: found by name among many, also where names begin alike") {
  BlockFinder finder;
  std::vector<io::Sha256Digest> names;
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    names.push_back(io::sha256(std::to_string(i)));
    if (i % 50 == 0) names.back()[0] = names.back()[1] = names.back()[2] = 0xff;  // the end of the table
    finder.insert(names.back(), {1 + i / 1000, i % 1000});
  }
  const auto number = [](const BlockRef& block) { return (block.pack - 1) * 1000 + block.number; };
  for (std::uint32_t i = 0; i < names.size(); ++i) {
    const auto found = finder.find(names[i], [&](const BlockRef& block) { return names[number(block)] == names[i]; });
    REQUIRE(found.has_value());
    CHECK(number(*found) == i);
  }
  CHECK_FALSE(finder.find(io::sha256("other"), [](const BlockRef&) { return false; }).has_value());
  CHECK_FALSE(BlockFinder().find(names[0], [](const BlockRef&) { return true; }).has_value());
}

StoredEntry some_entry() {
  StoredEntry stored;
  stored.entry.path = "data/\xff/file";
  stored.entry.size_bytes = 3 * kBlockBytes;
  stored.entry.state = "state";
  stored.counts = {{"messages", 7}};
  stored.content.kind = StoredContent::Kind::runs;
  stored.content.runs = {{1, 5, 2}, {0, 0, 1}};
  return stored;
}

TEST_CASE("tree nodes: bytes that are anything end in an error or an entry that can be") {
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same bytes each time
  const StoredEntry stored = some_entry();
  const std::string bytes = to_bytes(stored.entry, stored.counts, stored.content);
  const auto read = [](std::string_view node) {
    try {
      for (const std::string_view one : split_entries(node, "node")) {
        const StoredEntry entry = read_entry(one, "node");
        CHECK(is_plain_path(entry.entry.path));
        CHECK(path_in(one) == entry.entry.path);
      }
      return true;
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
      return false;
    }
  };
  CHECK(read(bytes + bytes));
  for (std::size_t length = 1; length < bytes.size(); ++length) CHECK_FALSE(read(bytes.substr(0, length)));
  for (int round = 0; round < 20'000; ++round) {
    std::string other = bytes;
    for (int change = 0; change < 1 + round % 3; ++change) other[random() % other.size()] = static_cast<char>(random());
    read(other);
    try {
      read_root(other, "root");
      read_list(other, "list");
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
    }
  }
}

TEST_CASE("tree nodes: paths that lead out of a tree are no entries") {
  for (const char* path : {"..", "a/../b", "/a", "a/", "a//b", ".", "./a"}) {
    StoredEntry stored = some_entry();
    stored.entry.path = path;
    const std::string bytes = to_bytes(stored.entry, {}, stored.content);
    CHECK_THROWS_AS(read_entry(split_entries(bytes, "node")[0], "node"), Error);
  }
}

TEST_CASE("block lists: runs are joined, cut into lists, and those that are there already are used again") {
  ContentBuilder builder;
  for (std::uint32_t i = 0; i < 5000; ++i) builder.add({1 + i % 2, i}, {});
  builder.add_zeros(10'000);
  int stored = 0;
  const StoredContent content = builder.finish(nullptr, [&](const std::string& bytes) {
    ++stored;
    return NodeRef{{9, static_cast<std::uint32_t>(stored)}, io::sha256(bytes)};
  });
  CHECK(content.kind == StoredContent::Kind::lists);
  CHECK(content.lists.size() == (15'000 + kListBlocks - 1) / kListBlocks);
  CHECK(stored == static_cast<int>(content.lists.size()));
  ContentBuilder again;
  for (std::uint32_t i = 0; i < 5000; ++i) again.add({1 + i % 2, i == 4000 ? 7 : i}, {});
  again.add_zeros(10'000);
  stored = 0;
  again.finish(&content, [&](const std::string& bytes) {
    ++stored;
    return NodeRef{{9, 99}, io::sha256(bytes)};
  });
  CHECK(stored == 1);
}

TEST_CASE("block lists: a run may begin anywhere") {
  StoredContent content;
  content.kind = StoredContent::Kind::runs;
  content.runs = {{1, 100, 5}, {0, 0, 3}, {2, 7, 4}};
  reef::test::TempDir none;
  Packs packs(none.path());
  const BlockList list(packs, content, 12 * kBlockBytes - 100, "file");
  CHECK(list.runs(0, 12) == content.runs);
  CHECK(list.runs(3, 6) == std::vector<BlockRun>{{1, 103, 2}, {0, 0, 3}, {2, 7, 1}});
  CHECK(list.runs(11, 1) == std::vector<BlockRun>{{2, 10, 1}});
  CHECK(list.next_stored(5) == 8);
  CHECK(list.next_stored(9) == 9);
  CHECK(list.next_stored(12) == 12);
  CHECK(list.bytes_of(11) == kBlockBytes - 100);
}

}  // namespace
}  // namespace reef::backup::internal
