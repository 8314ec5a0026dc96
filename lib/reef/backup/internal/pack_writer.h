#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "reef/backup/destination.h"
#include "reef/backup/internal/block_codec.h"
#include "reef/backup/internal/block_finder.h"
#include "reef/backup/internal/pack_file.h"
#include "reef/backup/internal/snapshot_file.h"
#include "reef/io/file.h"

namespace reef::backup::internal {

/// New packs get no larger by much; one that holds little that is needed can be written anew in its place.
inline constexpr std::uint64_t kPackBytes = std::uint64_t{512} << 20;

/// A block that may have to be stored: `row` has its name, hash and length.
struct NewBlock {
  StoredBlock row;
  std::span<const std::uint8_t> bytes;
};

/// The packs of one run, and which blocks they need: those that no pack of the repository has, each once. From any
/// thread. Nothing appears under its name before commit(), and nothing stays without it.
class PackWriter {
  struct Pack;

 public:
  /// `checks` tells of blocks that are damaged where they are. All three must outlive this.
  PackWriter(const Destination& destination, Packs& packs, const Checks& checks, std::uint32_t first_number);
  PackWriter(const PackWriter&) = delete;
  PackWriter& operator=(const PackWriter&) = delete;
  ~PackWriter();

  /// Where blocks are or will be, and which of them are yet to be written: neighbours in one pack.
  class Batch {
   public:
    const std::vector<BlockRef>& refs() const { return refs_; }

   private:
    friend class PackWriter;
    std::vector<BlockRef> refs_;
    std::vector<std::size_t> fresh_;  ///< which of them are new
    Pack* pack_ = nullptr;
  };
  /// Quickly: in the order of the calls, new blocks get their places.
  Batch place(std::span<const NewBlock> blocks);
  /// Compresses and writes them, on as many threads as call it. Every batch must come here, or commit() throws.
  void store(const Batch& batch, std::span<const NewBlock> blocks, BlockEncoder& encoder);

  /// A block that describes.
  NodeRef store_node(std::string_view bytes);

  /// By which the repository grows.
  std::uint64_t bytes() const;
  std::uint32_t next_number() const { return next_number_; }
  /// Makes the packs durable and gives them their names. Throws what store() threw once, if it did.
  void commit();

 private:
  void load_finder();
  bool is_stored(const BlockRef& block, const NewBlock& wanted);
  Pack& pack_with_room();
  void check_room(std::size_t bytes);
  /// Gives the stored blocks, whose offsets begin at 0, their place in the pack; returns where the first one goes.
  std::uint64_t reserve(Pack& pack, const Batch& batch, std::span<StoredBlock> rows, std::size_t bytes);
  void write(Pack& pack, std::span<const std::uint8_t> bytes, std::uint64_t offset);
  void write_index(Pack& pack);
  void close_full(Pack& pack);

  const Destination& destination_;
  Packs& packs_;
  const Checks& checks_;
  mutable std::mutex mutex_;
  BlockFinder finder_;
  bool finder_loaded_ = false;
  std::uint32_t next_number_;
  std::vector<std::unique_ptr<Pack>> mine_;
  std::uint64_t checked_room_ = 0;  ///< bytes for which there was room
  std::exception_ptr failure_;
  BlockEncoder node_encoder_;
};

}  // namespace reef::backup::internal
