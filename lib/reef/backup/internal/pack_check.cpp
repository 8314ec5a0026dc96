#include "reef/backup/internal/pack_check.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <tuple>

#include "reef/backup/internal/block_codec.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/direct_file.h"
#include "reef/io/file.h"
#include "reef/io/read_pieces.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint32_t kAllBlocks = UINT32_MAX;
/// What is looked at together: the rows of so many bytes of blocks are in memory.
constexpr std::uint64_t kBatchBytes = std::uint64_t{4} << 30;
constexpr std::size_t kBatchPacks = 64;

struct NumberedRow {
  std::uint32_t number = 0;
  StoredBlock row;
};

/// Blocks that lie beside each other and are read at once.
struct Group {
  std::uint32_t pack = 0;
  std::span<const NumberedRow> blocks;
  std::uint64_t skip = 0;  ///< bytes of the piece before the first of them
};

class Batch {
 public:
  Batch(Packs& packs, const PackCheckOptions& options, PackCheckReport& report, std::mt19937& random)
      : packs_(packs), options_(options), report_(report), random_(random) {}

  bool is_full() const { return bytes_ >= kBatchBytes || files_.size() >= kBatchPacks; }

  void add(std::uint32_t number) {
    std::shared_ptr<const PackFile> pack;
    try {
      pack = open(number);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      report_.faults.push_back({number, error.what(), 0, kAllBlocks});
      return;
    }
    bytes_ += pack->size();
    whole_index_ = true;
    pack->check_structure([&](const std::string& what, std::uint32_t first, std::uint32_t count) {
      report_.faults.push_back({number, what, first, count});
      if (count > 0) whole_index_ = false;
    });
    load_rows(*pack);
    plan(*pack);
  }

  void read(unsigned threads, Progress& progress) {
    std::uint64_t total = 0;
    for (const io::Piece& piece : pieces_) total += piece.bytes;
    progress.begin("verifying", total, ProgressUnit::bytes);
    std::vector<Scratch> scratch(std::max(threads, 1U));
    io::PieceOptions options;
    options.threads = threads;
    io::read_pieces(
        pieces_, options,
        [&](std::size_t worker, std::span<const io::PieceRead> done) {
          for (const io::PieceRead& read : done) check(read, scratch[worker]);
        },
        [&] {
          const std::lock_guard lock(mutex_);
          progress.advance(std::exchange(read_, 0));
        });
    progress.end();
  }

 private:
  /// The pack and the file whose bytes are read; prune() may put another one in its place between the two.
  std::shared_ptr<const PackFile> open(std::uint32_t number) {
    while (true) {
      std::shared_ptr<const PackFile> pack = packs_.get(number);
      auto file = std::make_unique<io::DirectFile>(packs_.path_of(number));
      struct stat ours {};
      struct stat other {};
      if (::fstat(pack->fd(), &ours) != 0 || ::fstat(file->plain_fd(), &other) != 0)
        throw_errno("stat", io::shown(packs_.path_of(number)));
      if (ours.st_ino == other.st_ino) {
        files_.push_back(std::move(file));
        return pack;
      }
      packs_.forget(number);
    }
  }

  struct Scratch {
    std::vector<StoredBlock> rows;
    std::vector<std::uint8_t> into;
  };

  void load_rows(const PackFile& pack) {
    std::vector<NumberedRow>& all = rows_.emplace_back();
    std::vector<StoredBlock> page;
    for (std::uint32_t first = 0; first < pack.blocks(); first += kPageRows) {
      page.resize(std::min<std::uint32_t>(kPageRows, pack.blocks() - first));
      try {
        pack.rows(first, page);
      } catch (const Error& error) {
        if (error.code() == Errc::interrupted) throw;
        if (whole_index_) report_.faults.push_back({pack.number(), error.what(), first, std::uint32_t(page.size())});
        whole_index_ = false;
        continue;
      }
      for (std::uint32_t i = 0; i < page.size(); ++i)
        if (!page[i].is_dropped()) all.push_back({first + i, page[i]});
    }
    std::sort(all.begin(), all.end(),
              [](const NumberedRow& a, const NumberedRow& b) { return a.row.offset < b.row.offset; });
    if (whole_index_) check_gaps(pack, all);
    if (options_.wanted)
      std::erase_if(all, [&](const NumberedRow& one) { return !options_.wanted(pack.number(), one.number); });
  }

  void check_gaps(const PackFile& pack, const std::vector<NumberedRow>& rows) {
    std::uint64_t end = kPackHeaderBytes;
    const auto fault = [&](std::uint64_t from, std::uint64_t to) {
      report_.faults.push_back({pack.number(), fmt::format("bytes {} to {} belong to no block", from, to), 0, 0});
    };
    for (const NumberedRow& one : rows) {
      if (one.row.offset != end) fault(end, one.row.offset);
      end = one.row.end();
    }
    if (end != pack.data_end()) fault(end, pack.data_end());
  }

  /// Cuts the blocks into groups that are read at once, and leaves out what the sample does not take.
  void plan(const PackFile& pack) {
    std::bernoulli_distribution taken(std::clamp(options_.sample, 0.0, 1.0));
    const std::vector<NumberedRow>& rows = rows_.back();
    for (std::size_t begin = 0; begin < rows.size();) {
      const std::uint64_t start = rows[begin].row.offset / io::DirectFile::kSector * io::DirectFile::kSector;
      std::size_t end = begin;
      while (end < rows.size() && (end == begin || rows[end].row.offset == rows[end - 1].row.end()) &&
             rows[end].row.end() - start <= io::kPieceBytes)
        ++end;
      const bool alone = end == begin;  // longer than a piece
      if (alone) ++end;
      if (taken(random_)) {
        const Group group{pack.number(), std::span(rows).subspan(begin, end - begin), rows[begin].row.offset - start};
        if (alone) {
          check_long(pack, group);
        } else {
          groups_.push_back(group);
          pieces_.push_back({files_.back().get(), start, static_cast<std::size_t>(rows[end - 1].row.end() - start)});
        }
      }
      begin = end;
    }
  }

  /// The root of a tree of very many files.
  void check_long(const PackFile& pack, const Group& group) {
    const StoredBlock& row = group.blocks.front().row;
    Scratch scratch;
    std::vector<std::uint8_t> stored(row.stored);
    try {
      pack.read_stored(row.offset, stored);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      return bad(group, 0, error.what());
    }
    check(group, stored, scratch);
  }

  void check(const io::PieceRead& read, Scratch& scratch) {
    const Group& group = groups_[read.piece];
    {
      const std::lock_guard lock(mutex_);
      read_ += pieces_[read.piece].bytes;
    }
    if (read.error == 0) return check(group, read.bytes.subspan(group.skip), scratch);
    for (std::size_t i = 0; i < group.blocks.size(); ++i) bad(group, i, std::strerror(read.error));
  }

  void check(const Group& group, std::span<const std::uint8_t> stored, Scratch& scratch) {
    scratch.rows.clear();
    std::uint64_t bytes = 0;
    for (const NumberedRow& one : group.blocks) {
      scratch.rows.push_back(one.row);
      bytes += one.row.bytes;
    }
    scratch.into.resize(std::max<std::size_t>(scratch.into.size(), bytes));
    decode_blocks(scratch.rows, stored, std::span(scratch.into).first(bytes),
                  [&](std::size_t i) { bad(group, i, "it is not what was stored"); });
    const std::lock_guard lock(mutex_);
    report_.bytes += bytes;
  }

  void bad(const Group& group, std::size_t i, const std::string& what) {
    const NumberedRow& one = group.blocks[i];
    const std::lock_guard lock(mutex_);
    report_.faults.push_back(
        {group.pack, fmt::format("block {} (bytes {} to {}): {}", one.number, one.row.offset, one.row.end(), what),
         one.number, 1});
  }

  Packs& packs_;
  const PackCheckOptions& options_;
  PackCheckReport& report_;
  std::mt19937& random_;
  bool whole_index_ = true;  ///< of the pack that is added
  std::uint64_t bytes_ = 0;
  std::vector<std::unique_ptr<io::DirectFile>> files_;
  std::vector<std::vector<NumberedRow>> rows_;
  std::vector<Group> groups_;  ///< of pieces_
  std::vector<io::Piece> pieces_;
  std::mutex mutex_;
  std::uint64_t read_ = 0;
};

}  // namespace

PackCheckReport check_packs(Packs& packs, const std::vector<std::uint32_t>& numbers, const PackCheckOptions& options,
                            Progress& progress) {
  PackCheckReport report;
  std::mt19937 random(std::random_device{}());
  for (std::size_t next = 0; next < numbers.size();) {
    Batch batch(packs, options, report, random);
    for (; next < numbers.size() && !batch.is_full(); ++next) {
      check_interrupt();
      batch.add(numbers[next]);
    }
    batch.read(options.threads, progress);
  }
  std::sort(report.faults.begin(), report.faults.end(), [](const PackFault& a, const PackFault& b) {
    return std::tie(a.pack, a.first, a.what) < std::tie(b.pack, b.first, b.what);
  });
  return report;
}

}  // namespace reef::backup::internal
