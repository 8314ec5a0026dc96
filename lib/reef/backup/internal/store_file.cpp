#include "reef/backup/internal/store_file.h"

#include <algorithm>
#include <atomic>

#include "reef/backup/internal/in_order.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/share_work.h"

namespace reef::backup::internal {
namespace {

constexpr std::uint64_t kPieceBlocks = 64;
constexpr std::uint64_t kPieceBytes = kPieceBlocks * kBlockBytes;
/// Pieces from which on a thread is worth starting.
constexpr std::size_t kPiecesToShare = 4;

/// A block of the file before: where it is, and the row of its pack's index.
struct KnownBlock {
  BlockRef ref;
  StoredBlock row;
};

/// What becomes of a block.
struct Placed {
  enum class Kind { zero, known, fresh } kind = Kind::zero;
  std::size_t which = 0;  ///< of the known or of the fresh ones
};

}  // namespace

/// What one thread needs, used again for each piece of each file.
struct FileStorer::Worker {
  std::vector<std::uint8_t> bytes;
  std::vector<KnownBlock> known;
  std::vector<StoredBlock> rows;
  std::vector<Placed> placed;
  std::vector<NewBlock> fresh;
  std::vector<std::span<const std::uint8_t>> contents;
  BlockEncoder encoder;
};

/// One file on its way into the packs.
class FileStorer::File {
 public:
  File(FileStorer& storer, const Content& content, const FileBefore* before)
      : packs_(storer.packs_),
        checks_(storer.checks_),
        writer_(storer.writer_),
        content_(content),
        before_(before),
        size_(content.size_bytes()) {}

  std::size_t pieces() const { return static_cast<std::size_t>((size_ + kPieceBytes - 1) / kPieceBytes); }

  void store(std::size_t piece, Worker& worker) {
    try {
      store_piece(piece, worker);
    } catch (...) {
      order_.stop(std::current_exception());
      throw;
    }
  }

  void report(const std::function<void(std::uint64_t)>& advance) {
    try {
      advance(done_.exchange(0));
    } catch (...) {
      order_.stop(std::current_exception());
      throw;
    }
  }

  StoredContent finish() {
    return builder_.finish(before_ != nullptr ? &before_->content : nullptr,
                           [this](const std::string& list) { return writer_.store_node(list); });
  }

 private:
  void store_piece(std::size_t piece, Worker& worker) {
    const std::uint64_t begin = piece * kPieceBytes;
    const std::uint64_t end = std::min(size_, begin + kPieceBytes);
    const std::uint64_t first = begin / kBlockBytes;
    const std::uint64_t blocks = blocks_of(end - begin);
    // Whole blocks of a hole are not read.
    const std::uint64_t data = content_.next_data(begin);
    const std::uint64_t holes = data >= end ? blocks : (data - begin) / kBlockBytes;
    const std::uint64_t from = std::min(end, begin + holes * kBlockBytes);
    worker.bytes.resize(std::max(worker.bytes.size(), static_cast<std::size_t>(end - from)));
    const auto bytes = std::span(worker.bytes).first(end - from);
    if (!bytes.empty()) content_.read(from, bytes);

    load_known(first + holes, blocks - holes, worker);
    worker.placed.assign(blocks - holes, {});
    worker.fresh.clear();
    for (std::size_t i = 0; i < worker.placed.size(); ++i) {
      const auto block = bytes.subspan(i * kBlockBytes, std::min(kBlockBytes, bytes.size() - i * kBlockBytes));
      if (is_zero(block)) continue;
      NewBlock candidate;
      candidate.bytes = block;
      candidate.row.hash = io::xxh3(block);
      candidate.row.bytes = static_cast<std::uint32_t>(block.size());
      const KnownBlock& known = worker.known[i];
      if (known.ref.pack != 0 && known.row.hash == candidate.row.hash && known.row.bytes == candidate.row.bytes) {
        worker.placed[i] = {Placed::Kind::known, i};
        continue;
      }
      worker.placed[i] = {Placed::Kind::fresh, worker.fresh.size()};
      worker.fresh.push_back(candidate);
    }
    name_fresh(worker);

    PackWriter::Batch batch;
    order_.pass(piece, [&] {
      batch = writer_.place(worker.fresh);
      builder_.add_zeros(holes);
      for (const Placed& one : worker.placed) add(one, worker, batch);
    });
    writer_.store(batch, worker.fresh, worker.encoder);
    done_ += end - begin;
  }

  void add(const Placed& one, const Worker& worker, const PackWriter::Batch& batch) {
    switch (one.kind) {
      case Placed::Kind::zero:
        return builder_.add_zeros(1);
      case Placed::Kind::known:
        return builder_.add(worker.known[one.which].ref, worker.known[one.which].row.name);
      case Placed::Kind::fresh:
        return builder_.add(batch.refs()[one.which], worker.fresh[one.which].row.name);
    }
  }

  static void name_fresh(Worker& worker) {
    worker.contents.clear();
    for (const NewBlock& block : worker.fresh) worker.contents.push_back(block.bytes);
    worker.rows.assign(worker.fresh.size(), {});
    name_blocks(worker.contents, worker.rows);
    for (std::size_t i = 0; i < worker.fresh.size(); ++i) worker.fresh[i].row.name = worker.rows[i].name;
  }

  /// The blocks that stood there before. Those that are damaged are taken for unknown, so that they are stored anew.
  void load_known(std::uint64_t first, std::uint64_t count, Worker& worker) {
    worker.known.assign(count, {});
    if (before_ == nullptr || first >= before_->blocks.blocks()) return;
    std::size_t at = 0;
    for (const BlockRun& run : before_->blocks.runs(first, std::min(count, before_->blocks.blocks() - first))) {
      if (run.pack != 0) load_run(run, std::span(worker.known).subspan(at, run.count), worker);
      at += run.count;
    }
  }

  void load_run(const BlockRun& run, std::span<KnownBlock> known, Worker& worker) {
    worker.rows.resize(run.count);
    try {
      packs_.get(run.pack)->rows(run.first, worker.rows);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      return;
    }
    for (std::uint32_t i = 0; i < run.count; ++i) {
      const BlockRef ref{run.pack, run.first + i};
      if (!worker.rows[i].is_dropped() && !checks_.is_bad(ref)) known[i] = {ref, worker.rows[i]};
    }
  }

  Packs& packs_;
  const Checks& checks_;
  PackWriter& writer_;
  const Content& content_;
  const FileBefore* before_;
  std::uint64_t size_;
  InOrder order_;
  ContentBuilder builder_;  ///< used in order
  std::atomic<std::uint64_t> done_{0};
};

FileStorer::FileStorer(Packs& packs, const Checks& checks, PackWriter& writer, unsigned threads)
    : packs_(packs), checks_(checks), writer_(writer), threads_(threads) {}
FileStorer::~FileStorer() = default;

StoredContent FileStorer::store(const Content& content, const FileBefore* before,
                                const std::function<void(std::uint64_t)>& advance) {
  File file(*this, content, before);
  const auto wanted = static_cast<unsigned>(std::clamp<std::size_t>(file.pieces() / kPiecesToShare, 1, threads_));
  while (workers_.size() < wanted) workers_.push_back(std::make_unique<Worker>());
  share_work(
      wanted, file.pieces(), [&](std::size_t worker, std::size_t piece) { file.store(piece, *workers_[worker]); },
      [&] { file.report(advance); });
  return file.finish();
}

}  // namespace reef::backup::internal
