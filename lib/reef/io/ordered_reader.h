#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "reef/io/huge_array.h"
#include "reef/io/read_pieces.h"
#include "reef/io/read_queue.h"

namespace reef::io {

/// Reads pieces of large files one after the other, with the next ones in flight meanwhile. Takes (depth + kept) *
/// kPieceBytes of memory, whatever the file's size. Of one thread.
class OrderedReader {
 public:
  /// `pieces` and their files must outlive it. `kept`: so many of the pieces given out stay while next() reads on.
  explicit OrderedReader(std::span<const Piece> pieces, std::size_t depth = 8, std::size_t kept = 0);
  OrderedReader(const OrderedReader&) = delete;
  OrderedReader& operator=(const OrderedReader&) = delete;

  /// The next piece in their order; its bytes live through the next `kept` calls. nullopt after the last one.
  /// Throws Error{interrupted}.
  std::optional<PieceRead> next();

 private:
  enum class State { reading, there };
  struct Slot {
    State state = State::reading;
    PieceRead read;
  };
  void start(std::size_t piece);
  Slot& slot_of(std::size_t piece) { return slots_[piece % slots_.size()]; }

  std::span<const Piece> pieces_;
  std::vector<Slot> slots_;
  HugeArray<std::uint8_t> buffers_;
  std::size_t kept_;
  std::size_t next_ = 0;     ///< to be given out
  std::size_t started_ = 0;  ///< pieces before this one are in flight, there, or gone
  ReadQueue queue_;          ///< last: it ends before the memory that it reads into
};

}  // namespace reef::io
