#include "reef/memory/state.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace reef::memory {

EmotionalState emotional_state(io::Database& memories, const std::string& persona) {
  constexpr std::size_t kEvidence = 10;
  EmotionalState state;
  state.persona = persona;
  auto select = memories.prepare(
      "SELECT id, valence, ifnull(arousal, abs(valence)), importance, created_at FROM memories "
      "WHERE valence IS NOT NULL ORDER BY id");
  std::vector<Feeling> feelings;
  while (select.step()) {
    feelings.push_back({select.integer(0), select.real(1), select.real(2), select.real(3), parse_time(select.text(4))});
    state.as_of = std::max(state.as_of.value_or(feelings.back().created), feelings.back().created);
  }
  state.memories = feelings.size();
  double weights = 0;
  for (Feeling& feeling : feelings) {
    const double days = std::chrono::duration<double, std::ratio<86400>>(*state.as_of - feeling.created).count();
    feeling.weight *= std::exp2(-days / kMoodHalfLifeDays);
    weights += feeling.weight;
  }
  if (weights <= 0) return state;
  for (Feeling& feeling : feelings) {
    feeling.weight /= weights;
    state.valence += feeling.weight * feeling.valence;
    state.arousal += feeling.weight * feeling.arousal;
  }
  const auto moved = [](const Feeling& feeling) {
    return feeling.weight * (std::abs(feeling.valence) + feeling.arousal);
  };
  std::stable_sort(feelings.begin(), feelings.end(),
                   [&](const Feeling& a, const Feeling& b) { return moved(a) > moved(b); });
  feelings.resize(std::min(kEvidence, feelings.size()));
  state.evidence = std::move(feelings);
  return state;
}

}  // namespace reef::memory
