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

std::optional<PieceRead> OrderedReader::next() {
  check_interrupt();
  const std::size_t given_back = next_ - std::min(next_, kept_);
  while (started_ < pieces_.size() && started_ < given_back + slots_.size()) start(started_++);
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
  const std::size_t number = piece % slots_.size();
  std::uint8_t* const buffer = buffers_.data() + number * kPieceBytes;
  slots_[number] = {State::reading, {piece, {}, 0}};
  // What lies in the page cache is copied: it may be used long after it was compared, and must not change meanwhile.
  if (p.file->copy_cached(p.offset, p.bytes, buffer)) {
    slots_[number] = {State::there, {piece, {buffer, p.bytes}, 0}};
  } else {
    queue_.start(number, {p.file, p.offset, p.bytes, buffer});
  }
}

}  // namespace reef::io
