#include "reef/retrieve/turn_layer.h"

#include <algorithm>
#include <cmath>

#include "reef/vector/kernels.h"

namespace reef::retrieve {
namespace {

constexpr double kK1 = 1.2, kB = .75;  ///< FTS5's
/// Nearest turns that are looked at for each one that is wanted: their neighbours may be nearer once all are smoothed.
constexpr std::size_t kWiden = 3;

}  // namespace

TurnLayer::TurnLayer(Source source, TurnWeights weights) : source_(std::move(source)), weights_(weights) {
  speakers_.resize(source_.map->speakers().size());
  double words = 0;
  for (std::uint32_t i = 0; i < source_.map->size(); ++i) {
    if (turn(i).is_removed()) continue;
    words += words_around(i);
    ++rows_;
    if (const std::uint16_t speaker = turn(i).speaker; speaker > 0 && speakers_[speaker - 1U].empty())
      speakers_[speaker - 1U] = source_.map->speakers()[speaker - 1U];
  }
  mean_words_ = rows_ > 0 ? words / static_cast<double>(rows_) : 0;
}

std::string TurnLayer::dense_text(const std::string& question) { return without_names(question, speakers_); }

void TurnLayer::ask(const Question& question) {
  left_out_.clear();
  if (asked_ == question.number) return;
  asked_ = question.number;
  terms_.clear();
  for (const text::Postings& postings : source_.postings(question.terms)) terms_.push_back(spread(postings));
  named_ = named_speakers(question.text, speakers_);
}

/// What a word counts at turns that hold it, and at their neighbours.
TurnLayer::Weighted TurnLayer::spread(const text::Postings& postings) const {
  std::vector<std::pair<std::uint32_t, float>> counts;
  counts.reserve(3 * postings.rows.size());
  const auto light = static_cast<float>(weights_.neighbour_words);
  for (std::size_t i = 0; i < postings.rows.size(); ++i) {
    const auto position = source_.map->position_of(postings.rows[i]);
    if (!position) continue;
    const auto count = static_cast<float>(postings.counts[i]);
    counts.emplace_back(*position, count);
    if (light == 0) continue;
    for (const std::uint32_t neighbour : {turn(*position).previous, turn(*position).next})
      if (neighbour != session::kNoTurn) counts.emplace_back(neighbour, light * count);
  }
  std::sort(counts.begin(), counts.end());
  Weighted weighted;
  for (const auto& [position, count] : counts) {
    if (weighted.positions.empty() || weighted.positions.back() != position) {
      weighted.positions.push_back(position);
      weighted.counts.push_back(0);
    }
    weighted.counts.back() += count;
  }
  return weighted;
}

std::uint32_t TurnLayer::words_around(std::uint32_t position) const {
  const session::Turn& here = turn(position);
  std::uint32_t words = here.words;
  if (weights_.neighbour_words == 0) return words;
  if (here.previous != session::kNoTurn) words += turn(here.previous).words;
  if (here.next != session::kNoTurn) words += turn(here.next).words;
  return words;
}

double TurnLayer::weight(double count, std::uint32_t position, double idf) const {
  const double length = words_around(position) / std::max(mean_words_, 1e-9);
  return idf * count * (kK1 + 1) / (count + kK1 * (1 - kB + kB * length));
}

TermCounts TurnLayer::term_counts() const {
  TermCounts counts;
  counts.rows = static_cast<double>(rows_);
  for (const Weighted& term : terms_) counts.rows_with_term.push_back(static_cast<double>(term.positions.size()));
  return counts;
}

std::vector<Candidate> TurnLayer::best_by_words(std::span<const double> idf, std::size_t count) {
  std::vector<float> scores(source_.map->size());
  for (std::size_t t = 0; t < std::min(idf.size(), terms_.size()); ++t)
    for (std::size_t i = 0; i < terms_[t].positions.size(); ++i)
      scores[terms_[t].positions[i]] += static_cast<float>(weight(terms_[t].counts[i], terms_[t].positions[i], idf[t]));
  for (const std::uint32_t position : left_out_) scores[position] = 0;
  std::vector<std::uint32_t> found;
  for (std::uint32_t i = 0; i < scores.size(); ++i)
    if (scores[i] > 0) found.push_back(i);
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(std::min(count, found.size()));
  std::partial_sort(found.begin(), end, found.end(), [&](std::uint32_t a, std::uint32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  std::vector<Candidate> best;
  for (auto position = found.begin(); position != end; ++position)
    best.push_back({turn(*position).id, scores[*position], std::nullopt});
  return best;
}

/// Of the question and v + w (v before + v behind).
std::optional<double> TurnLayer::cosine(std::uint32_t position) const {
  const auto own = source_.vectors.of(position);
  if (own.empty()) return std::nullopt;
  const auto& kernels = vector::kernels();
  const std::size_t dim = vector_.size();
  const auto w = static_cast<float>(weights_.neighbour_vectors);
  std::vector<float> sum(own.begin(), own.end());
  for (const std::uint32_t neighbour : {turn(position).previous, turn(position).next}) {
    if (w == 0 || neighbour == session::kNoTurn) continue;
    const auto other = source_.vectors.of(neighbour);
    for (std::size_t i = 0; i < other.size(); ++i) sum[i] += w * other[i];
  }
  const double length = std::sqrt(kernels.inner_product(sum.data(), sum.data(), dim));
  return length > 0 ? kernels.inner_product(vector_.data(), sum.data(), dim) / length : 0;
}

std::vector<Candidate> TurnLayer::best_by_vector(std::size_t count) {
  if (vector_.empty() || source_.vectors.space.empty()) return {};
  std::vector<std::uint32_t> near;
  for (const std::uint32_t position : source_.vectors.nearest(vector_, kWiden * count))
    for (const std::uint32_t other : {position, turn(position).previous, turn(position).next})
      if (other != session::kNoTurn) near.push_back(other);
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  std::vector<Candidate> best;
  for (const std::uint32_t position : near) {
    if (std::binary_search(left_out_.begin(), left_out_.end(), position)) continue;
    if (const auto near_by = cosine(position)) best.push_back({turn(position).id, 0, near_by});
  }
  const auto end = best.begin() + static_cast<std::ptrdiff_t>(std::min(count, best.size()));
  std::partial_sort(best.begin(), end, best.end(), [](const Candidate& a, const Candidate& b) {
    return *a.cosine != *b.cosine ? *a.cosine > *b.cosine : a.id < b.id;
  });
  best.erase(end, best.end());
  return best;
}

void TurnLayer::complete(std::span<Candidate> candidates, std::span<const double> idf) {
  for (Candidate& candidate : candidates) {
    candidate.bm25 = 0;
    const auto position = source_.map->position_of(candidate.id);
    if (!position) continue;
    for (std::size_t t = 0; t < std::min(idf.size(), terms_.size()); ++t) {
      const auto& at = terms_[t].positions;
      const auto found = std::lower_bound(at.begin(), at.end(), *position);
      if (found == at.end() || *found != *position) continue;
      candidate.bm25 += weight(terms_[t].counts[static_cast<std::size_t>(found - at.begin())], *position, idf[t]);
    }
    if (!candidate.cosine && !vector_.empty() && !source_.vectors.space.empty()) candidate.cosine = cosine(*position);
  }
}

double TurnLayer::bonus(std::int64_t id) const {
  const auto position = source_.map->position_of(id);
  if (!position) return 0;
  const session::Turn& here = turn(*position);
  return (named_[here.speaker] ? weights_.speaker : 0) + weights_.importance * here.importance;
}

void TurnLayer::leave_out(std::span<const std::int64_t> ids, bool) {
  for (const std::int64_t id : ids)
    if (const auto position = source_.map->position_of(id)) left_out_.push_back(*position);
  std::sort(left_out_.begin(), left_out_.end());
}

}  // namespace reef::retrieve
