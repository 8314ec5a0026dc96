#include "reef/backup/internal/tree_nodes.h"

#include <fmt/format.h>

#include "reef/backup/internal/bytes.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {
namespace {

constexpr std::size_t kRunBytes = 12;
constexpr std::size_t kNodeRefBytes = 40;
/// One path in so many ends a node.
constexpr std::uint64_t kEntriesPerNode = 256;
constexpr std::size_t kMostNodeBytes = std::size_t{128} << 10;

void write_ref(ByteWriter& out, const NodeRef& ref) {
  out.u32(ref.at.pack);
  out.u32(ref.at.number);
  out.raw(ref.name);
}

NodeRef read_ref(ByteReader& in) {
  NodeRef ref;
  ref.at.pack = in.u32();
  ref.at.number = in.u32();
  in.raw(ref.name);
  if (ref.at.pack == 0) in.fail("names a node in no pack");
  return ref;
}

void write_run(ByteWriter& out, const BlockRun& run) {
  out.u32(run.pack);
  out.u32(run.first);
  out.u32(run.count);
}

BlockRun read_run(ByteReader& in) {
  BlockRun run;
  run.pack = in.u32();
  run.first = in.u32();
  run.count = in.u32();
  if (run.count == 0 || run.first > UINT32_MAX - run.count) in.fail("has a run of blocks that cannot be");
  return run;
}

void write_content(ByteWriter& out, const StoredContent& content) {
  out.u8(static_cast<std::uint8_t>(content.kind));
  if (content.kind == StoredContent::Kind::none) return;
  out.raw(content.digest);
  if (content.kind == StoredContent::Kind::runs) {
    out.u32(static_cast<std::uint32_t>(content.runs.size()));
    for (const BlockRun& run : content.runs) write_run(out, run);
  } else {
    out.u32(static_cast<std::uint32_t>(content.lists.size()));
    for (const NodeRef& list : content.lists) write_ref(out, list);
  }
}

/// How many things of that size the bytes that are left can hold, at most.
std::uint32_t count_of(ByteReader& in, std::size_t bytes_each) {
  const std::uint32_t count = in.u32();
  if (count > in.left() / bytes_each) in.fail("ends too early");
  return count;
}

StoredContent read_content(ByteReader& in, std::uint64_t size) {
  StoredContent content;
  const std::uint8_t kind = in.u8();
  if (kind > static_cast<std::uint8_t>(StoredContent::Kind::lists)) in.fail("has a content of an unknown kind");
  content.kind = static_cast<StoredContent::Kind>(kind);
  if (content.kind == StoredContent::Kind::none) return content;
  in.raw(content.digest);
  const std::uint64_t blocks = blocks_of(size);
  if (content.kind == StoredContent::Kind::runs) {
    std::uint64_t sum = 0;
    for (std::uint32_t left = count_of(in, kRunBytes); left > 0; --left) {
      content.runs.push_back(read_run(in));
      sum += content.runs.back().count;
    }
    if (sum != blocks) in.fail("has blocks of a file of another size");
  } else {
    for (std::uint32_t left = count_of(in, kNodeRefBytes); left > 0; --left) content.lists.push_back(read_ref(in));
    if (content.lists.size() != (blocks + kListBlocks - 1) / kListBlocks)
      in.fail("has blocks of a file of another size");
  }
  return content;
}

}  // namespace

std::string to_bytes(const Entry& entry, const Counts& counts, const StoredContent& content) {
  ByteWriter out;
  out.u32(0);
  out.u8(static_cast<std::uint8_t>(entry.type));
  out.u32(entry.mode);
  out.u32(entry.uid);
  out.u32(entry.gid);
  out.i64(entry.modified_ns);
  out.u64(entry.size_bytes);
  out.text(entry.path);
  out.text(entry.link_target);
  out.text(entry.same_file_as);
  out.text(entry.state);
  out.u32(static_cast<std::uint32_t>(counts.size()));
  for (const auto& [name, count] : counts) {
    out.text(name);
    out.u64(count);
  }
  write_content(out, content);
  out.set_u32(0, static_cast<std::uint32_t>(out.size() - sizeof(std::uint32_t)));
  return out.take();
}

StoredEntry read_entry(std::string_view bytes, std::string_view where) {
  ByteReader in(bytes, where);
  StoredEntry stored;
  Entry& entry = stored.entry;
  const std::uint8_t type = in.u8();
  if (type > static_cast<std::uint8_t>(EntryType::link)) in.fail("has an entry of an unknown type");
  entry.type = static_cast<EntryType>(type);
  entry.mode = in.u32();
  entry.uid = in.u32();
  entry.gid = in.u32();
  entry.modified_ns = in.i64();
  entry.size_bytes = in.u64();
  entry.path = in.text();
  entry.link_target = in.text();
  entry.same_file_as = in.text();
  entry.state = in.text();
  if (!is_plain_path(entry.path) || !is_plain_path(entry.same_file_as)) in.fail("has a path that cannot be");
  for (std::uint32_t left = in.u32(); left > 0; --left) {
    std::string name(in.text());
    stored.counts.emplace_back(std::move(name), in.u64());
  }
  stored.content = read_content(in, entry.size_bytes);
  const bool has_content = entry.type == EntryType::file && entry.same_file_as.empty();
  if (has_content != (stored.content.kind != StoredContent::Kind::none)) in.fail("has a content where there is none");
  if (!in.at_end()) in.fail("has bytes that nothing tells of");
  return stored;
}

bool is_plain_path(std::string_view path) {
  if (path.empty()) return true;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string_view::npos) return false;
    begin = end + 1;
  }
  return true;
}

std::string_view path_in(std::string_view entry) {
  constexpr std::size_t kBefore = 1 + 3 * sizeof(std::uint32_t) + 2 * sizeof(std::uint64_t);
  ByteReader in(entry, "an entry");
  in.raw(kBefore);
  return in.text();
}

std::vector<std::string_view> split_entries(std::string_view node, std::string_view where) {
  std::vector<std::string_view> entries;
  ByteReader in(node, where);
  while (!in.at_end()) entries.push_back(in.text());
  return entries;
}

std::string to_bytes(std::span<const EntriesNode> root) {
  ByteWriter out;
  for (const EntriesNode& node : root) {
    write_ref(out, node.node);
    out.u32(node.entries);
    out.text(node.first_path);
  }
  return out.take();
}

std::vector<EntriesNode> read_root(std::string_view bytes, std::string_view where) {
  ByteReader in(bytes, where);
  std::vector<EntriesNode> nodes;
  while (!in.at_end()) {
    EntriesNode node;
    node.node = read_ref(in);
    node.entries = in.u32();
    node.first_path = in.text();
    nodes.push_back(std::move(node));
  }
  return nodes;
}

std::string to_bytes(std::span<const BlockRun> list) {
  ByteWriter out;
  for (const BlockRun& run : list) write_run(out, run);
  return out.take();
}

std::vector<BlockRun> read_list(std::string_view bytes, std::string_view where) {
  ByteReader in(bytes, where);
  std::vector<BlockRun> runs;
  runs.reserve(bytes.size() / kRunBytes);
  while (!in.at_end()) runs.push_back(read_run(in));
  return runs;
}

bool ends_node(std::string_view path, std::size_t node_bytes) {
  const std::uint64_t hash = io::xxh3({reinterpret_cast<const std::uint8_t*>(path.data()), path.size()});
  return hash % kEntriesPerNode == 0 || node_bytes >= kMostNodeBytes;
}

void append_run(std::vector<BlockRun>& runs, const BlockRun& run) {
  if (!runs.empty()) {
    BlockRun& last = runs.back();
    const bool goes_on = run.pack == last.pack && (run.pack == 0 || run.first == last.first + last.count);
    if (goes_on && last.count <= UINT32_MAX - run.count) {
      last.count += run.count;
      return;
    }
  }
  runs.push_back(run);
}

}  // namespace reef::backup::internal
