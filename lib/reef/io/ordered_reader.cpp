#include "reef/io/ordered_reader.h"

#include <algorithm>

#include "reef/core/cancel.h"

namespace reef::io {

OrderedReader::OrderedReader(std::span<const Piece> pieces, std::size_t depth, std::size_t kept)
    : pieces_(pieces),
      slots_(std::max<std::size_t>(1, std::min(depth + kept, pieces.size()))),
      buffers_(slots_.size() * kPieceBytes),
      kept_(kept),
      queue_(slots_.size()) {}

OrderedReader::~OrderedReader() { give_back(next_); }

std::optional<PieceRead> OrderedReader::next() {
  check_interrupt();
  give_back(next_ - std::min(next_, kept_));
  while (started_ < pieces_.size() && started_ < given_back_ + slots_.size()) start(started_++);
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

/// Nobody looks at the pieces before `end` any more.
void OrderedReader::give_back(std::size_t end) {
  for (; given_back_ < end; ++given_back_) {
    Slot& slot = slot_of(given_back_);
    if (slot.is_cached) pieces_[slot.read.piece].file->release(slot.read.bytes);
    slot.is_cached = false;
  }
}

}  // namespace reef::io
