#include "reef/backup/internal/snapshot_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/backup/internal/bytes.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::string_view kSnapshotMagic = "REEFSNAP";
constexpr std::string_view kChecksMagic = "REEFCHKS";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
constexpr std::size_t kSumBytes = sizeof(std::uint64_t);

std::uint64_t sum_of(std::string_view bytes) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::string sealed(ByteWriter& out) {
  out.u64(sum_of(out.bytes()));
  return out.take();
}

/// The file, without its checksum.
std::string read_sealed(const fs::path& path, std::string_view magic) {
  std::string bytes = io::read_file(path, kMostBytes);
  const std::string where = io::shown(path);
  const std::size_t end = bytes.size() - std::min(bytes.size(), kSumBytes);
  ByteReader sum(std::string_view(bytes).substr(end), where);
  ByteReader in(bytes, where);
  if (!bytes.starts_with(magic)) in.fail("is not what its name says");
  if (sum.u64() != sum_of(std::string_view(bytes).substr(0, end))) in.fail("is damaged: its checksum differs");
  bytes.resize(end);
  return bytes;
}

void check_version(ByteReader& in, std::string_view magic, const fs::path& path) {
  in.raw(magic.size());
  if (const std::uint32_t version = in.u32(); version != kVersion) {
    throw Error(Errc::failed, fmt::format("{} is of version {}", io::shown(path), version),
                "a newer reef wrote it: use that one");
  }
}

std::int64_t to_ms(Time time) { return time.time_since_epoch().count(); }
Time from_ms(std::int64_t ms) { return Time(std::chrono::milliseconds(ms)); }

}  // namespace

std::string to_bytes(const SnapshotFile& file) {
  ByteWriter out;
  out.raw(kSnapshotMagic);
  out.u32(kVersion);
  out.text(file.snapshot.id);
  out.i64(to_ms(file.snapshot.taken));
  out.u64(file.snapshot.files);
  out.u64(file.snapshot.size_bytes);
  out.u64(file.snapshot.added_bytes);
  out.u32(file.next_pack);
  out.u32(file.root.at.pack);
  out.u32(file.root.at.number);
  out.raw(file.root.name);
  for (const std::vector<std::string>& paths : {file.snapshot.changed, file.damaged}) {
    out.u32(static_cast<std::uint32_t>(paths.size()));
    for (const std::string& path : paths) out.text(path);
  }
  return sealed(out);
}

SnapshotFile read_snapshot_file(const fs::path& path, const std::string& id) {
  const std::string bytes = read_sealed(path, kSnapshotMagic);
  const std::string where = io::shown(path);
  ByteReader in(bytes, where);
  check_version(in, kSnapshotMagic, path);
  SnapshotFile file;
  file.snapshot.id = in.text();
  if (file.snapshot.id != id) in.fail(fmt::format("is the description of snapshot {}", io::shown(file.snapshot.id)));
  file.snapshot.taken = from_ms(in.i64());
  file.snapshot.files = in.u64();
  file.snapshot.size_bytes = in.u64();
  file.snapshot.added_bytes = in.u64();
  file.next_pack = in.u32();
  file.root.at.pack = in.u32();
  file.root.at.number = in.u32();
  in.raw(file.root.name);
  for (std::uint32_t left = in.u32(); left > 0; --left) file.snapshot.changed.emplace_back(in.text());
  for (std::uint32_t left = in.u32(); left > 0; --left) file.damaged.emplace_back(in.text());
  if (!file.damaged.empty()) file.snapshot.damaged = file.snapshot.taken;
  if (!in.at_end()) in.fail("has bytes that nothing tells of");
  return file;
}

bool Checks::is_bad(const BlockRef& block) const { return is_bad(BlockRun{block.pack, block.number, 1}); }

bool Checks::is_bad(const BlockRun& run) const {
  const auto pack = bad.find(run.pack);
  if (pack == bad.end()) return false;
  if (pack->second.all) return true;
  const auto block = pack->second.blocks.lower_bound(run.first);
  return block != pack->second.blocks.end() && *block - run.first < run.count;
}

std::string to_bytes(const Checks& checks) {
  ByteWriter out;
  out.raw(kChecksMagic);
  out.u32(kVersion);
  out.u32(static_cast<std::uint32_t>(checks.snapshots.size()));
  for (const auto& [id, check] : checks.snapshots) {
    out.text(id);
    out.u8(static_cast<std::uint8_t>((check.verified ? 1U : 0U) | (check.damaged ? 2U : 0U)));
    out.i64(to_ms(check.verified.value_or(Time())));
    out.i64(to_ms(check.damaged.value_or(Time())));
  }
  out.u32(static_cast<std::uint32_t>(checks.bad.size()));
  for (const auto& [number, pack] : checks.bad) {
    out.u32(number);
    out.u8(pack.all ? 1 : 0);
    out.u32(static_cast<std::uint32_t>(pack.blocks.size()));
    for (const std::uint32_t block : pack.blocks) out.u32(block);
  }
  return sealed(out);
}

Checks read_checks(const fs::path& path) {
  std::string bytes;
  try {
    bytes = read_sealed(path, kChecksMagic);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return {};
    throw;
  }
  const std::string where = io::shown(path);
  ByteReader in(bytes, where);
  check_version(in, kChecksMagic, path);
  Checks checks;
  for (std::uint32_t left = in.u32(); left > 0; --left) {
    const std::string id(in.text());
    const std::uint8_t bits = in.u8();
    const Time verified = from_ms(in.i64());
    const Time damaged = from_ms(in.i64());
    Checks::Check& check = checks.snapshots[id];
    if ((bits & 1U) != 0) check.verified = verified;
    if ((bits & 2U) != 0) check.damaged = damaged;
  }
  for (std::uint32_t left = in.u32(); left > 0; --left) {
    Checks::BadPack& pack = checks.bad[in.u32()];
    pack.all = in.u8() != 0;
    for (std::uint32_t blocks = in.u32(); blocks > 0; --blocks) pack.blocks.insert(in.u32());
  }
  if (!in.at_end()) in.fail("has bytes that nothing tells of");
  return checks;
}

}  // namespace reef::backup::internal
