#include "reef/model/internal/verified_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reef/core/error.h"

namespace reef::model::internal {

VerifiedPieces::VerifiedPieces(const StreamPlan& plan) : plan_(plan), thread_([this] { run(); }) {}

VerifiedPieces::~VerifiedPieces() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  taken_.notify_one();
  thread_.join();
}

std::span<const std::uint8_t> VerifiedPieces::next() {
  std::unique_lock lock(mutex_);
  one_in_use_ = false;
  taken_.notify_one();
  ready_.wait(lock, [&] { return !pieces_.empty() || error_; });
  if (pieces_.empty()) std::rethrow_exception(error_);
  const auto piece = pieces_.front();
  pieces_.pop_front();
  one_in_use_ = true;
  return piece;
}

void VerifiedPieces::run() {
  std::optional<io::OrderedReader> reader;  // the bytes are its: it stays until the last of them was used
  try {
    // The first of a batch must stay while the second is read, and so must all that nobody is through with.
    reader.emplace(plan_.pieces, kInFlight, kAhead + kBatch);
    while (read_batch(*reader)) {
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
    ready_.notify_one();
  }
  std::unique_lock lock(mutex_);
  taken_.wait(lock, [&] { return stop_; });
}

/// False when there is no more to do.
bool VerifiedPieces::read_batch(io::OrderedReader& reader) {
  {
    std::unique_lock lock(mutex_);
    taken_.wait(lock, [&] { return stop_ || pieces_.size() + (one_in_use_ ? 1 : 0) <= kAhead; });
    if (stop_) return false;
  }
  std::array<io::PieceRead, kBatch> reads;
  std::size_t count = 0;
  while (count < kBatch) {
    const auto read = reader.next();
    if (!read) break;
    reads[count++] = *read;
  }
  check(std::span(reads).first(count));
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < count; ++i) pieces_.push_back(reads[i].bytes);
  ready_.notify_one();
  return count == kBatch;
}

void VerifiedPieces::check(std::span<const io::PieceRead> batch) const {
  const auto is_hashed = [&](const io::PieceRead& read) {
    return read.error == 0 && plan_.of_piece[read.piece].is_checked;
  };
  std::array<io::Sha256Digest, kBatch> digests{};
  if (std::all_of(batch.begin(), batch.end(), is_hashed)) {
    digests = digests_of(batch);
  } else {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (is_hashed(batch[i])) digests[i] = io::sha256(batch[i].bytes);
    }
  }
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& [file, chunk, is_checked] = plan_.of_piece[batch[i].piece];
    if (batch[i].error == 0 && !is_checked) continue;
    if (const auto fault = chunk_fault(*file, chunk, batch[i].error, digests[i]))
      throw Error(Errc::corrupt, fmt::format("{}: {}", plan_.model, fault->text()),
                  fmt::format("import the model again, then run 'reef-model verify {}'", plan_.model));
  }
}

}  // namespace reef::model::internal
