#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "reef/core/time.h"
#include "reef/memory/importance.h"
#include "reef/memory/internal/model_protocol.h"
#include "reef/memory/internal/neighbours.h"

namespace reef::memory::internal {

inline constexpr auto kDay = std::chrono::hours(24);

/// A message that waits for its second score.
struct Buffered {
  std::int64_t rank = 0;
  std::int64_t message = 0;
  double score = 0;
  std::int64_t mentions = 0;
  std::vector<float> row;    ///< empty: to be asked for again
  std::optional<Scan> scan;  ///< what was near when it was scored
  bool was_asked = false;    ///< the language model, about it
  std::optional<Verdict> verdict = {};

  double second() const {
    return second_score(score, mentions, verdict ? std::optional(verdict->score) : std::nullopt);
  }
};
/// By time, then by rank.
using Buffer = std::multimap<Time, Buffered>;

}  // namespace reef::memory::internal
