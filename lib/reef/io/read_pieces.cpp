#include "reef/io/read_pieces.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/share_work.h"
#include "reef/io/huge_array.h"
#include "reef/io/read_queue.h"

namespace reef::io {
namespace {

/// Reads in flight per thread: enough that the drive has work while the thread hashes two of them. Where there are many
/// threads, the others' reads are that work.
constexpr std::size_t kDeepest = 12;

struct Shared {
  std::span<const Piece> pieces;
  const PieceOptions& options;
  const std::function<void(std::size_t, std::span<const PieceRead>)>& take;
  const std::function<void()>& report;
  std::size_t depth = kDeepest;  ///< slots of each thread
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
};

/// One thread's share: takes the next piece that nobody has until none is left.
class Reader {
 public:
  Reader(Shared& shared, std::size_t worker)
      : shared_(shared),
        worker_(worker),
        buffers_(shared.options.into ? 0 : shared.depth * kPieceBytes),
        in_slot_(shared.depth),
        queue_(shared.depth) {}

  void run() {
    for (std::size_t slot = 0; slot < in_slot_.size(); ++slot) start(slot);
    while (!ready_.empty() || queue_.in_flight() > 0) {
      if (shared_.stop) return;
      check_interrupt();
      while (ready_.size() < 2 && queue_.in_flight() > 0) {
        const ReadDone done = queue_.wait();
        const Piece& piece = shared_.pieces[in_slot_[done.slot].piece];
        in_slot_[done.slot].read.error = done.error;
        if (done.error == 0) in_slot_[done.slot].read.bytes = {in_slot_[done.slot].into, piece.bytes};
        ready_.push_back(done.slot);
      }
      hand_out();
    }
  }

 private:
  struct InSlot {
    std::size_t piece = 0;
    std::uint8_t* into = nullptr;  ///< nullptr: the piece lies in the page cache
    PieceRead read;
  };

  void start(std::size_t slot) {
    const std::size_t number = shared_.next.fetch_add(1);
    if (number >= shared_.pieces.size()) return;
    const Piece& piece = shared_.pieces[number];
    InSlot& in = in_slot_[slot] = {number, nullptr, {number, {}, 0}};
    if (!shared_.options.into && !shared_.options.copies_cached) {
      in.read.bytes = piece.file->cached(piece.offset, piece.bytes);
      if (!in.read.bytes.empty()) return ready_.push_back(slot);
    }
    in.into = shared_.options.into ? shared_.options.into(number) : buffers_.data() + slot * kPieceBytes;
    if (piece.file->copy_cached(piece.offset, piece.bytes, in.into)) {
      in.read.bytes = {in.into, piece.bytes};
      return ready_.push_back(slot);
    }
    queue_.start(slot, {piece.file, piece.offset, piece.bytes, in.into});
  }

  void hand_out() {
    const std::size_t count = std::min<std::size_t>(2, ready_.size());
    PieceRead done[2];
    for (std::size_t i = 0; i < count; ++i) done[i] = in_slot_[ready_[i]].read;
    shared_.take(worker_, {done, count});
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t slot = ready_.front();
      ready_.pop_front();
      const InSlot& in = in_slot_[slot];
      if (in.into == nullptr) shared_.pieces[in.piece].file->release(in.read.bytes);
      start(slot);
    }
    if (worker_ == 0) shared_.report();
  }

  Shared& shared_;
  const std::size_t worker_;
  HugeArray<std::uint8_t> buffers_;
  std::vector<InSlot> in_slot_;
  std::deque<std::size_t> ready_;  ///< slots whose pieces are there
  ReadQueue queue_;                ///< last: it ends before the memory that it reads into
};

}  // namespace

std::vector<Piece> pieces_of(const DirectFile& file) {
  std::vector<Piece> pieces;
  for (std::uint64_t at = 0; at < file.size(); at += kPieceBytes)
    pieces.push_back({&file, at, std::min<std::size_t>(kPieceBytes, file.size() - at)});
  return pieces;
}

void read_pieces(std::span<const Piece> pieces, const PieceOptions& options,
                 const std::function<void(std::size_t worker, std::span<const PieceRead> done)>& take,
                 const std::function<void()>& report) {
  Shared shared{pieces, options, take, report};
  // A thread that has one piece cannot hash two at once.
  const std::size_t useful = std::min((pieces.size() + 1) / 2, kMostAtOnce / 2);
  const std::size_t threads = std::clamp<std::size_t>(options.threads, 1, std::max<std::size_t>(1, useful));
  shared.depth = std::min(kDeepest, kMostAtOnce / threads);
  share_work(
      static_cast<unsigned>(threads), threads,
      [&](std::size_t worker, std::size_t) {
        try {
          Reader(shared, worker).run();
        } catch (...) {
          shared.stop = true;
          throw;
        }
      },
      [] {});
  report();
}

}  // namespace reef::io
