#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <thread>

#include "reef/io/ordered_reader.h"
#include "reef/model/internal/stream_plan.h"

namespace reef::model::internal {

/// The pieces of a plan in their order: a thread of its own reads ahead and compares whole chunks with their digests,
/// so that nobody sees a byte of a damaged one. Takes (kInFlight + kAhead + kBatch) pieces of memory, whatever the
/// plan.
class VerifiedPieces {
 public:
  /// `plan` must outlive it.
  explicit VerifiedPieces(const StreamPlan& plan);
  VerifiedPieces(const VerifiedPieces&) = delete;
  VerifiedPieces& operator=(const VerifiedPieces&) = delete;
  ~VerifiedPieces();

  /// Its bytes live until the next call. Precondition: there is one. Throws Error{corrupt} naming the chunk,
  /// Error{interrupted}.
  std::span<const std::uint8_t> next();

 private:
  static constexpr std::size_t kInFlight = 8;
  static constexpr std::size_t kBatch = 2;  ///< chunks that are hashed together
  static constexpr std::size_t kAhead = 2;  ///< and that may wait to be taken, or be in use, when more are read
  void run();
  bool read_batch(io::OrderedReader& reader);
  void check(std::span<const io::PieceRead> batch) const;

  const StreamPlan& plan_;
  std::mutex mutex_;
  std::condition_variable taken_;
  std::condition_variable ready_;
  std::deque<std::span<const std::uint8_t>> pieces_;  ///< to be taken
  bool one_in_use_ = false;
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;  ///< last: it uses the rest
};

}  // namespace reef::model::internal
