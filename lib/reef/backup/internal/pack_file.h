#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "reef/backup/internal/block.h"
#include "reef/io/unique_handle.h"

namespace reef::backup::internal {

namespace fs = std::filesystem;

/// packs/<8 digits>.pack: the new blocks of one run (of more than one file where a run adds much), and their index.
/// Never changed; `prune` may put a smaller one in its place, with the same numbers. All numbers are little-endian.
///
///   "REEFPACK", u32 version (1), u32 number of the pack
///   what is stored of each block, one after the other
///   zeros up to a multiple of 4096
///   pages of 4096 bytes: the index, at least one page
///     "RFIX", u32 number of the pack, u32 number of the page, u32 pages, u32 rows in this page, u32 zero,
///     u64 where the last block ends
///     63 rows of 64 bytes: SHA-256 of the block, u64 its XXH3, u64 offset, u32 stored bytes, u32 bytes of the block,
///       u32 lower half of the XXH3 of what is stored, u32 codec (0: raw, 1: zstd); all zero for a dropped block
///     24 bytes zero, u64 XXH3 of all before it in the page
///
/// Each page can be found and checked without the others: a bad sector costs the blocks that it tells of, no more.
inline constexpr std::size_t kPackHeaderBytes = 16;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kPageRows = 63;
inline constexpr std::uint32_t kMostPackBlocks = std::uint32_t{1} << 30;

/// The index of a pack in pages, and the zeros before it: what follows the last block, which ends at `data_end`.
std::string pack_index(std::uint32_t pack, std::span<const StoredBlock> blocks, std::uint64_t data_end);
std::string pack_header(std::uint32_t pack);
/// How many bytes pack_index() returns.
std::uint64_t pack_index_bytes(std::uint64_t blocks, std::uint64_t data_end);

/// A pack for reading. From any thread.
class PackFile {
 public:
  /// `shown` names it in messages and faults. Throws Error{corrupt} for one that is not there or has no index.
  PackFile(const fs::path& path, std::uint32_t number, std::string shown);

  std::uint32_t number() const { return number_; }
  const std::string& shown() const { return shown_; }
  int fd() const { return fd_.get(); }
  std::uint64_t size() const { return size_; }
  std::uint32_t blocks() const { return blocks_; }
  std::uint64_t data_end() const { return data_end_; }

  /// Rows of the index from `first` on. Throws Error{corrupt} for a damaged page, and for rows that are not there.
  void rows(std::uint32_t first, std::span<StoredBlock> into) const;
  /// What is stored from `offset` on.
  void read_stored(std::uint64_t offset, std::span<std::uint8_t> into) const;
  /// Contents of neighbours, one after the other; each is checked. Throws Error{corrupt} naming the first bad one.
  void read_blocks(std::uint32_t first, std::span<const StoredBlock> blocks, std::span<std::uint8_t> into) const;

  /// What is wrong with all but blocks and index: header, length, zeros between. Pages that are damaged are told with
  /// the blocks that they tell of.
  void check_structure(
      const std::function<void(const std::string& what, std::uint32_t first, std::uint32_t count)>& fault) const;

 private:
  bool read_page(std::uint64_t offset, std::span<std::uint8_t> page) const;
  bool find_index();
  [[noreturn]] void fail(const std::string& what) const;

  fs::path path_;
  std::uint32_t number_;
  std::string shown_;
  io::UniqueFd fd_;
  std::uint64_t size_ = 0;
  std::uint64_t index_start_ = 0;
  std::uint64_t data_end_ = 0;
  std::uint32_t pages_ = 0;
  std::uint32_t blocks_ = 0;
};

/// The packs of a repository, a few hundred of them open at a time. From any thread.
class Packs {
 public:
  explicit Packs(fs::path repository) : repository_(std::move(repository)) {}

  static std::string name_of(std::uint32_t number);  ///< relative to the repository
  fs::path path_of(std::uint32_t number) const { return repository_ / name_of(number); }
  fs::path folder() const { return repository_ / "packs"; }
  /// Numbers of all that there are, ascending.
  std::vector<std::uint32_t> numbers() const;

  /// Throws as PackFile does.
  std::shared_ptr<const PackFile> get(std::uint32_t number);
  /// A pack that is still being written under another name.
  void add(std::shared_ptr<const PackFile> pack);
  void forget(std::uint32_t number);

  /// A block that describes; what it must be stands beside the reference. Throws Error{corrupt}.
  std::string read_node(const NodeRef& node);

 private:
  struct Open {
    std::shared_ptr<const PackFile> pack;
    std::list<std::uint32_t>::iterator use;
  };
  std::shared_ptr<const PackFile> find(std::uint32_t number);
  void keep(std::shared_ptr<const PackFile> pack);

  fs::path repository_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Open> open_;
  std::list<std::uint32_t> used_;  ///< the last one first
  std::unordered_map<std::uint32_t, std::shared_ptr<const PackFile>> unfinished_;
};

}  // namespace reef::backup::internal
