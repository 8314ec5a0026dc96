#include "reef/memory/internal/neighbours.h"

#include <algorithm>
#include <cmath>

#include "reef/io/checksum.h"
#include "reef/text/fold.h"
#include "reef/text/full_text.h"

namespace reef::memory::internal {
namespace {

std::vector<std::uint64_t> word_hashes(std::string_view content) {
  const std::string folded = text::folded(content);
  std::vector<std::uint64_t> hashes;
  for (const auto word : text::words_of(folded))
    hashes.push_back(io::xxh3({reinterpret_cast<const std::uint8_t*>(word.data()), word.size()}));
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

std::vector<std::int64_t> sorted(std::span<const std::int64_t> values) {
  std::vector<std::int64_t> result(values.begin(), values.end());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

void sort_distinct(std::vector<std::uint32_t>& positions) {
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
}

}  // namespace

void Neighbours::add(std::int64_t id, std::span<const float> vector, std::span<const std::int64_t> entities,
                     std::string_view content) {
  const auto position = static_cast<std::uint32_t>(ids_.size());
  ids_.push_back(id);
  position_of_[id] = position;
  rows_.add(vector);
  if (rows_.has_vector(position)) ++vectors_;
  entities_.emplace_back();
  add_entities(id, entities);
  for (const std::uint64_t word : word_hashes(content)) {
    Positions& positions = by_word_[word];
    if (positions.size() <= kRare) positions.push_back(position);  // one more says that it is not rare
  }
}

void Neighbours::add_entities(std::int64_t id, std::span<const std::int64_t> entities) {
  const std::uint32_t position = position_of_.at(id);
  std::vector<std::int64_t>& known = entities_[position];
  for (const std::int64_t entity : sorted(entities)) {
    if (std::binary_search(known.begin(), known.end(), entity)) continue;
    known.insert(std::upper_bound(known.begin(), known.end(), entity), entity);
    by_entity_[entity].push_back(position);
  }
}

double Neighbours::idf(std::int64_t entity) const {
  const auto found = by_entity_.find(entity);
  const double mentioned = found == by_entity_.end() ? 0 : static_cast<double>(found->second.size());
  return text::inverse_document_frequency(static_cast<double>(ids_.size()), mentioned);
}

double Neighbours::entity_overlap(std::span<const std::int64_t> a, std::span<const std::int64_t> b) const {
  double common = 0, all = 0;
  for (std::size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    if (j == b.size() || (i < a.size() && a[i] < b[j])) {
      all += idf(a[i++]);
    } else if (i == a.size() || b[j] < a[i]) {
      all += idf(b[j++]);
    } else {
      common += idf(a[i]);
      all += idf(a[i]);
      ++i;
      ++j;
    }
  }
  return all > 0 ? common / all : 0;
}

/// Memories that share an entity, rare entities first.
Neighbours::Positions Neighbours::sharing(std::span<const std::int64_t> entities) const {
  std::vector<const Positions*> lists;
  for (const std::int64_t entity : entities)
    if (const auto found = by_entity_.find(entity); found != by_entity_.end()) lists.push_back(&found->second);
  std::stable_sort(lists.begin(), lists.end(), [](const auto* a, const auto* b) { return a->size() < b->size(); });
  Positions positions;
  for (const Positions* list : lists) {
    const std::size_t room = kEntityCandidates - std::min(kEntityCandidates, positions.size());
    const std::size_t taken = std::min(room, list->size());
    positions.insert(positions.end(), list->end() - static_cast<std::ptrdiff_t>(taken), list->end());  // the newest
  }
  sort_distinct(positions);
  return positions;
}

/// Positions before the newest kScanned that are worth a look.
Neighbours::Positions Neighbours::candidates(std::span<const std::int64_t> entities, std::string_view content) const {
  Positions positions;
  if (ids_.size() <= kScanned) return positions;
  for (const std::uint64_t word : word_hashes(content)) {
    const auto found = by_word_.find(word);
    if (found != by_word_.end() && found->second.size() <= kRare)
      positions.insert(positions.end(), found->second.begin(), found->second.end());
  }
  const Positions shared = sharing(entities);
  positions.insert(positions.end(), shared.begin(), shared.end());
  sort_distinct(positions);
  positions.erase(std::lower_bound(positions.begin(), positions.end(), scanned_begin()), positions.end());
  return positions;
}

std::vector<Scan> Scanner::scan(std::span<const float> rows, unsigned threads) const {
  std::vector<Scan> scans;
  for (Best& best : rows_.nearest(rows, most_, begin_, threads))
    scans.push_back({begin_, rows_.size(), std::move(best)});
  return scans;
}

Scanner Neighbours::scanner(std::size_t nearest) const {
  // Without those that are the first to be too old.
  const std::size_t begin = ids_.size() > kScanned ? scanned_begin() + Scanner::kRecent : 0;
  return {rows_.since(begin), begin, nearest};
}

/// Among the newest kScanned.
Best Neighbours::best_of(const CodeRows::Query& query, std::size_t nearest, const Scan* scanned) const {
  const std::size_t begin = scanned_begin();
  Best best(nearest);
  if (scanned == nullptr || scanned->begin < begin) {
    rows_.compare(query, begin, ids_.size(), best);
    return best;
  }
  for (const auto& [cosine, position] : scanned->best.hits()) best.offer(cosine, position);
  rows_.compare(query, begin, scanned->begin, best);
  rows_.compare(query, scanned->end, ids_.size(), best);
  return best;
}

std::vector<Neighbour> Neighbours::find(std::span<const float> vector, std::span<const std::int64_t> entities,
                                        std::string_view content, std::size_t nearest, const Scan* scanned) const {
  const std::vector<std::int64_t> own = sorted(entities);
  Positions positions = sharing(own);
  CodeRows::Query query;
  if (!vector.empty() && vector.size() == rows_.dim()) {
    query = rows_.query(vector);
    Best best = best_of(query, nearest, scanned);
    for (const std::uint32_t position : candidates(own, content))
      if (rows_.has_vector(position)) best.offer(rows_.cosine(query, position), position);
    for (const auto& [cosine, position] : best.hits()) positions.push_back(position);
  }
  sort_distinct(positions);
  std::vector<Neighbour> found;
  found.reserve(positions.size());
  for (const std::uint32_t position : positions) {
    const bool comparable = query.scale != 0 && rows_.has_vector(position);
    found.push_back(
        {ids_[position], comparable ? rows_.cosine(query, position) : 0, entity_overlap(own, entities_[position])});
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.cosine > b.cosine; });
  return found;
}

double Neighbours::cosine_quantile(double q) const {
  constexpr std::size_t kPairs = 8192;
  if (vectors_ < 2) return 0;
  std::vector<float> cosines;
  std::uint64_t state = ids_.size();
  const auto draw = [&] {  // SplitMix64 (Steele, Lea, Flood, 2014)
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::uint32_t>((z ^ (z >> 31)) % ids_.size());
  };
  for (std::size_t i = 0; i < kPairs; ++i) {
    const std::uint32_t a = draw(), b = draw();
    if (a == b || !rows_.has_vector(a) || !rows_.has_vector(b)) continue;
    cosines.push_back(rows_.cosine(rows_.query(std::size_t{a}), b));
  }
  if (cosines.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(cosines.size() - 1));
  std::nth_element(cosines.begin(), cosines.begin() + at, cosines.end());
  return cosines[static_cast<std::size_t>(at)];
}

}  // namespace reef::memory::internal
