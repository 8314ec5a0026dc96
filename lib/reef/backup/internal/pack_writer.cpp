#include "reef/backup/internal/pack_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::backup::internal {
namespace {

constexpr unsigned kMode = 0600;  // a backup holds what only its owner may read
constexpr std::uint64_t kRoomAtOnce = std::uint64_t{64} << 20;
/// Written bytes after which the kernel is asked to bring them to the drive, so that fsync finds little left.
constexpr std::uint64_t kFlushBytes = std::uint64_t{32} << 20;

std::string_view view_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

struct PackWriter::Pack {
  Pack(const fs::path& path, std::uint32_t pack_number) : file(path, kMode), number(pack_number) {}

  io::StagedFile file;
  std::uint32_t number;
  std::uint64_t end = 0;          ///< of what is written or reserved
  std::vector<StoredBlock> rows;  ///< empty once the index of a full pack is written
  std::size_t unwritten = 0;      ///< batches
  bool full = false;
  bool has_index = false;
};

PackWriter::PackWriter(const Destination& destination, Packs& packs, const Checks& checks, std::uint32_t first_number)
    : destination_(destination), packs_(packs), checks_(checks), next_number_(first_number) {}

PackWriter::~PackWriter() {
  for (const auto& pack : mine_) packs_.forget(pack->number);
}

void PackWriter::load_finder() {
  if (finder_loaded_) return;
  finder_loaded_ = true;
  constexpr std::size_t kRowsAtOnce = kPageRows * 64;
  std::vector<StoredBlock> rows(kRowsAtOnce);
  for (const std::uint32_t number : packs_.numbers()) {
    check_interrupt();
    std::shared_ptr<const PackFile> pack;
    try {
      pack = packs_.get(number);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      continue;  // nobody can use its blocks
    }
    finder_.reserve(finder_.size() + pack->blocks());
    for (std::uint32_t first = 0; first < pack->blocks();) {
      const auto count = std::min<std::uint32_t>(pack->blocks() - first, kRowsAtOnce);
      const auto part = std::span(rows).first(count);
      try {
        pack->rows(first, part);
      } catch (const Error& error) {
        if (error.code() == Errc::interrupted) throw;
        first += count;
        continue;
      }
      for (const StoredBlock& row : part) {
        const BlockRef block{number, first++};
        if (!row.is_dropped() && !checks_.is_bad(block)) finder_.insert(row.name, block);
      }
    }
  }
}

bool PackWriter::is_stored(const BlockRef& block, const NewBlock& wanted) {
  const auto mine =
      std::find_if(mine_.begin(), mine_.end(), [&](const auto& pack) { return pack->number == block.pack; });
  if (mine != mine_.end() && !(*mine)->has_index) return (*mine)->rows[block.number].name == wanted.row.name;
  try {
    StoredBlock row;
    packs_.get(block.pack)->rows(block.number, {&row, 1});
    return row.name == wanted.row.name && row.bytes == wanted.row.bytes;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return false;
  }
}

PackWriter::Pack& PackWriter::pack_with_room() {
  if (!mine_.empty() && !mine_.back()->full) {
    Pack& last = *mine_.back();
    if (last.end < kPackBytes) return last;
    last.full = true;
    close_full(last);
  }
  mine_.push_back(std::make_unique<Pack>(packs_.path_of(next_number_), next_number_));
  ++next_number_;
  Pack& pack = *mine_.back();
  const std::string header = pack_header(pack.number);
  io::pwrite_all(pack.file.fd(), header, 0, pack.file.temporary_path());
  pack.end = header.size();
  return pack;
}

PackWriter::Batch PackWriter::place(std::span<const NewBlock> blocks) {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  Batch batch;
  if (blocks.empty()) return batch;
  load_finder();
  try {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const NewBlock& block = blocks[i];
      const auto is_it = [&](const BlockRef& candidate) { return is_stored(candidate, block); };
      if (const auto known = finder_.find(block.row.name, is_it)) {
        batch.refs_.push_back(*known);
        continue;
      }
      if (batch.pack_ == nullptr) {
        batch.pack_ = &pack_with_room();
        ++batch.pack_->unwritten;
      }
      const BlockRef ref{batch.pack_->number, static_cast<std::uint32_t>(batch.pack_->rows.size())};
      batch.pack_->rows.push_back(block.row);
      finder_.insert(block.row.name, ref);
      batch.refs_.push_back(ref);
      batch.fresh_.push_back(i);
    }
  } catch (...) {
    failure_ = std::current_exception();  // the places that were given away are never filled
    throw;
  }
  return batch;
}

void PackWriter::store(const Batch& batch, std::span<const NewBlock> blocks, BlockEncoder& encoder) {
  if (batch.pack_ == nullptr) return;
  try {
    std::vector<std::uint8_t> out;
    std::vector<StoredBlock> rows;
    rows.reserve(batch.fresh_.size());
    for (const std::size_t i : batch.fresh_) {
      rows.push_back(blocks[i].row);
      rows.back().offset = out.size();
      encoder.encode(blocks[i].bytes, rows.back(), out);
    }
    Pack& pack = *batch.pack_;
    write(pack, out, reserve(pack, batch, rows, out.size()));
    const std::lock_guard lock(mutex_);
    --pack.unwritten;
    if (pack.full) close_full(pack);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    throw;
  }
}

/// Asks the filesystem now and then: its reserve is for what must be written however full it is.
void PackWriter::check_room(std::size_t bytes) {
  if (checked_room_ < bytes) {
    destination_.require_room(bytes);
    checked_room_ = std::min(destination_.free_bytes(), std::max<std::uint64_t>(bytes, kRoomAtOnce));
  }
  checked_room_ -= std::min<std::uint64_t>(checked_room_, bytes);
}

std::uint64_t PackWriter::reserve(Pack& pack, const Batch& batch, std::span<StoredBlock> rows, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  check_room(bytes);
  const std::uint64_t begin = pack.end;
  pack.end += bytes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].offset += begin;
    pack.rows[batch.refs_[batch.fresh_[i]].number] = rows[i];
  }
  return begin;
}

void PackWriter::write(Pack& pack, std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  io::pwrite_all(pack.file.fd(), view_of(bytes), offset, pack.file.temporary_path());
  if (offset / kFlushBytes != (offset + bytes.size()) / kFlushBytes && !io::plain_io())
    ::sync_file_range(pack.file.fd(), 0, 0, SYNC_FILE_RANGE_WRITE);  // a wish: fsync will wait for all of it
}

void PackWriter::write_index(Pack& pack) {
  const std::string index = pack_index(pack.number, pack.rows, pack.end);
  io::pwrite_all(pack.file.fd(), index, pack.end, pack.file.temporary_path());
  pack.end += index.size();
  pack.has_index = true;
}

/// A long run must not hold the rows of all its packs in memory.
void PackWriter::close_full(Pack& pack) {
  if (pack.unwritten > 0 || pack.has_index) return;
  write_index(pack);
  pack.rows = {};
  packs_.add(std::make_shared<const PackFile>(pack.file.temporary_path(), pack.number, Packs::name_of(pack.number)));
}

NodeRef PackWriter::store_node(std::string_view bytes) {
  NewBlock block;
  block.bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  if (bytes.size() > kMostBlockBytes) throw Error(Errc::failed, "the description of the tree is too long to be stored");
  block.row.name = io::sha256(bytes);
  block.row.hash = io::xxh3(block.bytes);
  block.row.bytes = static_cast<std::uint32_t>(bytes.size());
  const Batch batch = place({&block, 1});
  store(batch, {&block, 1}, node_encoder_);
  return {batch.refs().front(), block.row.name};
}

std::uint64_t PackWriter::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& pack : mine_) {
    sum += pack->end;
    if (!pack->has_index) sum += pack_index_bytes(pack->rows.size(), pack->end);
  }
  return sum;
}

void PackWriter::commit() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  std::size_t done = 0;
  try {
    for (; done < mine_.size(); ++done) {
      Pack& pack = *mine_[done];
      if (!pack.has_index) write_index(pack);
      pack.file.commit();
      packs_.forget(pack.number);
    }
  } catch (...) {
    // No snapshot needs them yet, and the drive may be full.
    for (std::size_t i = 0; i <= done; ++i) ::unlink(packs_.path_of(mine_[i]->number).c_str());
    throw;
  }
}

}  // namespace reef::backup::internal
