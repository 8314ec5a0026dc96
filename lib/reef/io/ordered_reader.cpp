#include "reef/io/ordered_reader.h"

#include <algorithm>

#include "reef/core/cancel.h"

namespace reef::io {

OrderedReader::OrderedReader(std::span<const Piece> pieces, std::size_t depth)
    : pieces_(pieces),
      slots_(std::max<std::size_t>(1, std::min(depth, pieces.size()))),
      buffers_(slots_.size() * kPieceBytes),
      queue_(slots_.size()) {}

OrderedReader::~OrderedReader() { finish_last(); }

std::optional<PieceRead> OrderedReader::next() {
  check_interrupt();
  finish_last();
  while (started_ < pieces_.size() && started_ < next_ + slots_.size()) start(started_++);
  if (next_ == pieces_.size()) return std::nullopt;
  Slot& wanted = slot_of(next_);
  while (wanted.state == State::reading) {
    const ReadDone done = queue_.wait();
    Slot& slot = slots_[done.slot];
    slot.state = State::there;
    slot.read.error = done.error;
    if (done.error == 0) slot.read.bytes = {buffers_.data() + done.slot * kPieceBytes, pieces_[slot.read.piece].bytes};
  }
  ++next_;
  return wanted.read;
}

void OrderedReader::start(std::size_t piece) {
  const Piece& p = pieces_[piece];
  Slot& slot = slot_of(piece);
  slot = {State::there, true, {piece, p.file->cached(p.offset, p.bytes), 0}};
  if (!slot.read.bytes.empty()) return;
  slot.state = State::reading;
  slot.is_cached = false;
  const std::size_t number = piece % slots_.size();
  queue_.start(number, {p.file, p.offset, p.bytes, buffers_.data() + number * kPieceBytes});
}

/// What was given out last is no longer looked at.
void OrderedReader::finish_last() {
  if (next_ == 0) return;
  Slot& last = slot_of(next_ - 1);
  if (!last.is_cached) return;
  pieces_[last.read.piece].file->release(last.read.bytes);
  last.is_cached = false;
}

}  // namespace reef::io
