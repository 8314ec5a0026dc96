#include "reef/backup/internal/pack_rewrite.h"

#include <algorithm>
#include <span>

#include "reef/backup/internal/block_codec.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

/// All rows, those of blocks that are not used dropped.
std::vector<StoredBlock> rows_used(const PackFile& pack, const std::vector<bool>& used) {
  std::vector<StoredBlock> rows(pack.blocks());
  pack.rows(0, rows);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (i >= used.size() || !used[i]) rows[i] = {};
  return rows;
}

}  // namespace

PackUse use_of(const PackFile& pack, const std::vector<bool>& used) {
  PackUse use;
  use.bytes = pack.size();
  use.new_bytes = kPackHeaderBytes;
  const std::vector<StoredBlock> rows = rows_used(pack, used);
  for (const StoredBlock& row : rows) use.new_bytes += row.stored;
  use.new_bytes += pack_index_bytes(rows.size(), use.new_bytes);
  return use;
}

bool rewrite_pack(const PackFile& pack, const std::vector<bool>& used, const fs::path& path) {
  std::vector<StoredBlock> rows = rows_used(pack, used);
  io::StagedFile file(path, 0600);
  file.write(pack_header(pack.number()));
  std::uint64_t end = kPackHeaderBytes;
  std::vector<std::uint8_t> stored;
  std::vector<std::uint8_t> content;
  for (StoredBlock& row : rows) {
    if (row.is_dropped()) continue;
    check_interrupt();
    stored.resize(row.stored);
    content.resize(row.bytes);
    pack.read_stored(row.offset, stored);
    bool sound = true;
    decode_blocks({&row, 1}, stored, content, [&](std::size_t) { sound = false; });
    if (!sound) return false;
    file.write({reinterpret_cast<const char*>(stored.data()), stored.size()});
    row.offset = end;
    end += row.stored;
  }
  file.write(pack_index(pack.number(), rows, end));
  file.commit();
  return true;
}

}  // namespace reef::backup::internal
