#pragma once

#include <future>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "reef/memory/consolidate.h"
#include "reef/memory/internal/buffer.h"
#include "reef/memory/internal/neighbours.h"
#include "reef/memory/internal/undecided.h"
#include "reef/memory/store.h"

namespace reef::memory::internal {

/// A message that is to be scored next.
struct Ready {
  Waiting waiting;
  std::vector<float> row;         ///< empty: there are no vectors; zeros: it says nothing
  std::optional<Scan> scan = {};  ///< what lies near it
};

/// A message whose day is over.
struct Settling {
  Buffered entry;
  Waiting waiting;  ///< says nothing: it is not to be remembered
};

/// Messages with their vectors, and what lies near those among the memories. To make vectors takes long, and so may a
/// scan: the caller has no transaction open in next() and prepare().
class MessageVectors {
 public:
  /// dim: 0 for no vectors.
  MessageVectors(Store& store, Undecided& undecided, std::size_t dim, const VectorSource& source, unsigned threads)
      : store_(store), undecided_(undecided), dim_(dim), source_(source), threads_(threads) {}

  /// The next messages that have no decision, `count` at most; none at the end. Reads those behind them as well, near
  /// which another thread looks for memories until they are asked for.
  std::vector<Ready> next(std::size_t count);

  /// Whether prepare() has anything to do for it.
  bool lacks(const Settling& message) const;
  /// Vectors of those that wait since another run, and what lies near those that were not looked for lately.
  void prepare(std::span<Settling> messages);

 private:
  struct Ahead {
    std::vector<Ready> messages;
    std::vector<float> rows;
    std::future<std::vector<Scan>> scans;  ///< of the rows: ends before they go
  };

  void read_ahead(std::size_t count);
  std::vector<float> rows_of(std::span<const session::Message* const> messages) const;

  Store& store_;
  Undecided& undecided_;
  std::size_t dim_;
  const VectorSource& source_;
  unsigned threads_;
  std::unique_ptr<Ahead> ahead_;
};

}  // namespace reef::memory::internal
