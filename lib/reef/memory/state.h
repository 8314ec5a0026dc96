#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/time.h"
#include "reef/io/sqlite.h"

namespace reef::memory {

/// What a memory adds to the mood.
struct Feeling {
  std::int64_t memory = 0;
  double valence = 0;
  double arousal = 0;
  double weight = 0;  ///< its share of the mean
  Time created{};
};

/// The mood that the memories tell: means of valence (-1…1) and arousal (0…1), each memory weighted by importance and
/// by 2^(-age / kMoodHalfLifeDays), age counted from the newest of them: a mood is of a time, not of when it is read.
struct EmotionalState {
  std::string persona;
  double valence = 0;
  double arousal = 0;
  std::uint64_t memories = 0;     ///< that say how they feel
  std::optional<Time> as_of;      ///< the newest of them
  std::vector<Feeling> evidence;  ///< those that moved it most, ten at most
};
inline constexpr double kMoodHalfLifeDays = 30;

EmotionalState emotional_state(io::Database& memories, const std::string& persona);

/// emotional_state.json holds this line as well.
std::string to_json(const EmotionalState& state);
std::string to_text(const EmotionalState& state);

}  // namespace reef::memory
