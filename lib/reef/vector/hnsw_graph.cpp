#include "reef/vector/hnsw_graph.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <tuple>

#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/vector/internal/beam.h"
#include "reef/vector/internal/copies.h"
#include "reef/vector/kernels.h"

namespace reef::vector {
namespace {

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): levels and order come from a row's number alone, on every machine
/// and with every library.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

/// Geometric with ratio 1/M, drawn with integers: std::log may differ in its last bit between two libraries.
int level_of(std::uint64_t row) {
  std::uint64_t random = mix(row);
  int level = 0;
  for (; level + 1 < HnswGraph::kLevels && random % HnswGraph::kM == 0; ++level) random /= HnswGraph::kM;
  return level;
}

struct Link {
  std::int32_t distance = 0;  ///< minus the product of the signed codes
  std::uint32_t id = 0;
  /// Never a tie between two links: sorting has one result.
  bool operator<(const Link& other) const { return std::tie(distance, id) < std::tie(other.distance, other.id); }
};

struct ReverseLink {
  std::uint32_t target = 0;
  std::int32_t level = 0;
  Link link;
  bool operator<(const ReverseLink& other) const {
    return std::tie(target, level, link) < std::tie(other.target, other.level, other.link);
  }
};

/// What one thread works with.
struct Scratch {
  Scratch(std::size_t rows, std::size_t dim, std::size_t ef)
      : visited((rows + 63) / 64), question(dim), other(dim), beam(ef) {}

  /// False for a row that was visited before.
  bool visit(std::uint32_t row) {
    std::uint64_t& word = visited[row >> 6];
    const std::uint64_t bit = std::uint64_t{1} << (row & 63);
    if ((word & bit) != 0) return false;
    if (word == 0) touched.push_back(row >> 6);
    word |= bit;
    return true;
  }
  void forget_visits() {
    for (const std::uint32_t word : touched) visited[word] = 0;
    touched.clear();
  }

  std::vector<std::uint64_t> visited;
  std::vector<std::uint32_t> touched;  ///< words of it that are not 0: clearing all would be quadratic
  std::vector<std::int8_t> question, other;
  internal::Beam<std::int32_t> beam;
  std::vector<Link> list, kept;
  std::vector<ReverseLink> reverse;
};

}  // namespace

/// Prefix doubling (after ParlayANN, Manohar et al., PPoPP 2024): every row of a batch searches the graph as it was
/// before the batch and writes its own lists only; the links back are collected, sorted and applied by target
/// afterwards. No step depends on timing, so there are no locks, and any number of threads gives the same graph.
///
/// Rows with equal codes fill one another's lists, and from 64 of them on no link leads away any more: a page footer
/// that half of all chunks repeat hid every other row. So only the first of equal rows is inserted; the others hang on
/// it as a chain, each with a link back.
class HnswBuilder {
 public:
  HnswBuilder(const UniformCodes& codes, const HnswOptions& options)
      : codes_(codes),
        options_(options),
        graph_(codes.rows()),
        copies_(internal::find_copies(codes)),
        sums_(codes.rows()) {}

  HnswGraph build(const std::function<void(std::uint64_t)>& on_rows) {
    prepare_rows();
    const std::vector<std::uint32_t> order = insertion_order();
    const std::size_t rows = order.size();
    graph_.entry_ = order[0];
    const std::size_t threads = std::max(1U, options_.threads);
    scratch_.assign(threads, Scratch(codes_.rows(), codes_.dim(), options_.ef_construction));
    on_rows(1);
    // Batches grow with the graph, or early rows would not see each other at all.
    for (std::size_t begin = 1; begin < rows;) {
      const std::size_t count = std::min(rows - begin, std::max<std::size_t>(1, std::min(begin / 8, rows / 64)));
      in_parallel(count, [&](std::size_t worker, std::size_t i) { insert(order[begin + i], scratch_[worker]); });
      link_back();
      begin += count;
      on_rows(count);
    }
    link_unreached(order);
    hang_copies();
    on_rows(codes_.rows() - rows);
    return std::move(graph_);
  }

 private:
  /// Hands rows out in runs: an early batch of one row is not worth a thread.
  template <typename Work>
  void in_parallel(std::size_t count, const Work& work) {
    constexpr std::size_t kRun = 16;
    const auto run = [&](std::size_t worker, std::size_t item) {
      for (std::size_t i = item * kRun; i < std::min(count, (item + 1) * kRun); ++i) work(worker, i);
    };
    share_work(static_cast<unsigned>(scratch_.size()), (count + kRun - 1) / kRun, run, [] {});
  }

  bool is_copy(std::uint32_t row) const { return copies_.first[row] != row; }

  /// Rows that differ by less than the links' heuristic can tell apart are dropped from every list of their
  /// neighbours: of 2,500 near-copies four in five could not be reached. Each such row gets a link from the nearest row
  /// that is reached and has a place free.
  void link_unreached(const std::vector<std::uint32_t>& order) {
    constexpr std::size_t kAtOnce = 256;
    std::vector<bool> reached(codes_.rows());
    std::vector<std::uint32_t> open;
    const auto reach_from = [&](std::uint32_t row) {
      reached[row] = true;
      for (open.push_back(row); !open.empty();) {
        const std::uint32_t next = open.back();
        open.pop_back();
        for (const std::uint32_t id : graph_.links(next, 0)) {
          if (reached[id]) continue;
          reached[id] = true;
          open.push_back(id);
        }
      }
    };
    reach_from(graph_.entry_);
    std::vector<std::uint32_t> lost;
    std::copy_if(order.begin(), order.end(), std::back_inserter(lost),
                 [&](std::uint32_t row) { return !reached[row]; });
    std::vector<std::vector<Link>> near(kAtOnce);
    for (std::size_t begin = 0; begin < lost.size(); begin += kAtOnce) {
      const std::size_t count = std::min(kAtOnce, lost.size() - begin);
      in_parallel(count, [&](std::size_t worker, std::size_t i) {
        Scratch& s = scratch_[worker];
        const std::uint32_t row = lost[begin + i];
        to_signed(codes_.row(row), codes_.dim(), s.question.data());
        search_level(row, descend(row, s), 0, s);
        near[i].clear();
        for (const auto& entry : s.beam.entries()) near[i].push_back({entry.distance, entry.id()});
      });
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t row = lost[begin + i];
        if (reached[row]) continue;
        const auto from = std::find_if(near[i].begin(), near[i].end(), [&](const Link& link) {
          return reached[link.id] && graph_.base_count_[link.id] < limit(link.id, 0);
        });
        if (from == near[i].end()) continue;
        graph_.base_ids_[from->id * HnswGraph::kBaseLinks + graph_.base_count_[from->id]++] = row;
        reach_from(row);
      }
    }
  }

  void hang_copies() {
    for (std::uint32_t row = 0; row < copies_.next.size(); ++row) {
      std::uint32_t* ids = graph_.base_ids_.data() + row * HnswGraph::kBaseLinks;
      std::uint8_t& count = graph_.base_count_[row];
      if (is_copy(row)) ids[count++] = copies_.first[row];
      if (copies_.next[row] != internal::Copies::kNone) ids[count++] = copies_.next[row];  // limit() kept the place
    }
  }

  void prepare_rows() {
    for (std::size_t i = 0; i < codes_.rows(); ++i) {
      std::int32_t sum = 0;
      for (std::size_t j = 0; j < codes_.dim(); ++j) sum += codes_.row(i)[j] - 128;
      sums_[i] = 128 * sum;  // s·u = s·(u - 128) + 128 Σs: taken off in distances()
      const int level = is_copy(static_cast<std::uint32_t>(i)) ? 0 : level_of(i);
      graph_.top_level_[i] = static_cast<std::uint8_t>(level);
      graph_.upper_[i].resize(static_cast<std::size_t>(level));
    }
  }

  /// High levels first, random within a level: the descent to level 0 then always ends well.
  std::vector<std::uint32_t> insertion_order() const {
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < codes_.rows(); ++i)
      if (!is_copy(i)) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int level_a = graph_.top_level(a), level_b = graph_.top_level(b);
      return level_a != level_b ? level_a > level_b : mix(~std::uint64_t{a}) < mix(~std::uint64_t{b});
    });
    return order;
  }

  /// Applies what the rows of a batch collected, target by target.
  void link_back() {
    all_.clear();
    for (Scratch& s : scratch_) {
      all_.insert(all_.end(), s.reverse.begin(), s.reverse.end());
      s.reverse.clear();
    }
    std::sort(all_.begin(), all_.end());
    starts_.clear();
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (i == 0 || all_[i].target != all_[i - 1].target || all_[i].level != all_[i - 1].level) starts_.push_back(i);
    starts_.push_back(all_.size());
    in_parallel(starts_.size() - 1, [&](std::size_t worker, std::size_t group) {
      Scratch& s = scratch_[worker];
      const std::uint32_t target = all_[starts_[group]].target;
      const int level = all_[starts_[group]].level;
      read_links(target, level, s.list);
      for (std::size_t i = starts_[group]; i < starts_[group + 1]; ++i) s.list.push_back(all_[i].link);
      if (s.list.size() > limit(target, level)) {
        std::sort(s.list.begin(), s.list.end());
        select(s.list, limit(target, level), s);
      }
      write_links(target, level, s.list);
    });
  }

  std::size_t limit(std::uint32_t row, int level) const {
    if (level > 0) return HnswGraph::kUpperLinks;
    return HnswGraph::kBaseLinks - (copies_.next[row] != internal::Copies::kNone ? 1 : 0);
  }

  void read_links(std::uint32_t row, int level, std::vector<Link>& list) const {
    const auto ids = graph_.links(row, level);
    const std::int32_t* distances = level == 0
                                        ? graph_.base_distances_.data() + row * HnswGraph::kBaseLinks
                                        : graph_.upper_[row][static_cast<std::size_t>(level - 1)].distances.data();
    list.resize(ids.size());
    for (std::size_t j = 0; j < ids.size(); ++j) list[j] = {distances[j], ids[j]};
  }

  void write_links(std::uint32_t row, int level, const std::vector<Link>& list) {
    std::uint32_t* ids = graph_.base_ids_.data() + row * HnswGraph::kBaseLinks;
    std::int32_t* distances = graph_.base_distances_.data() + row * HnswGraph::kBaseLinks;
    if (level > 0) {
      auto& upper = graph_.upper_[row][static_cast<std::size_t>(level - 1)];
      upper.ids.resize(list.size());
      upper.distances.resize(list.size());
      ids = upper.ids.data();
      distances = upper.distances.data();
    } else {
      graph_.base_count_[row] = static_cast<std::uint8_t>(list.size());
    }
    for (std::size_t j = 0; j < list.size(); ++j) {
      ids[j] = list[j].id;
      distances[j] = list[j].distance;
    }
  }

  /// Distances of rows to the one whose signed codes and sum are given.
  void distances(const std::int8_t* question, std::int32_t sum, const std::uint32_t* ids, std::size_t count,
                 std::int32_t* out) const {
    const auto dot_four = kernels().dot_four_unsigned;
    for (std::size_t j = 0; j < count; j += 4) {
      const std::uint8_t* rows[4];
      for (std::size_t t = 0; t < 4; ++t) rows[t] = codes_.row(ids[std::min(j + t, count - 1)]);
      // Memory is the limit: ask for the rows after the next ones while these four are multiplied.
      for (std::size_t t = j + internal::kRowsAhead; t < std::min(j + internal::kRowsAhead + 4, count); ++t)
        internal::prefetch(codes_.row(ids[t]), codes_.dim());
      std::int32_t products[4];
      dot_four(question, rows, codes_.dim(), products);
      for (std::size_t t = 0; t < std::min<std::size_t>(4, count - j); ++t) out[j + t] = sum - products[t];
    }
  }

  /// Best-first search of one level from `start`; leaves the nearest rows in s.beam.
  void search_level(std::uint32_t row, Link start, int level, Scratch& s) const {
    s.forget_visits();
    s.visit(start.id);
    s.visit(row);
    s.beam.start(start.distance, start.id);
    std::uint32_t fresh[HnswGraph::kBaseLinks];
    std::int32_t found[HnswGraph::kBaseLinks];
    while (const auto next = s.beam.expand_next()) {
      std::size_t count = 0;
      for (const std::uint32_t id : graph_.links(*next, level)) {
        if (!s.visit(id)) continue;
        if (count < internal::kRowsAhead) internal::prefetch(codes_.row(id), codes_.dim());
        fresh[count++] = id;
      }
      distances(s.question.data(), sums_[row], fresh, count, found);
      for (std::size_t j = 0; j < count; ++j) s.beam.offer(found[j], fresh[j]);
      if (level > 0) continue;
      if (const auto after = s.beam.peek_next())  // its list is needed soon: 14 % of the time
        internal::prefetch(graph_.base_ids_.data() + *after * HnswGraph::kBaseLinks,
                           sizeof(std::uint32_t) * HnswGraph::kBaseLinks);
    }
  }

  /// The paper's heuristic (algorithm 4): a candidate is kept only if it is nearer to the row than to any link that
  /// was kept before, so that links point in different directions. `list` is sorted, nearest first.
  void select(std::vector<Link>& list, std::size_t most, Scratch& s) const {
    s.kept.clear();
    std::uint32_t kept_ids[HnswGraph::kBaseLinks];
    for (const Link& candidate : list) {
      if (s.kept.size() == most) break;
      to_signed(codes_.row(candidate.id), codes_.dim(), s.other.data());
      bool diverse = true;
      for (std::size_t j = 0; j < s.kept.size() && diverse; j += 4) {
        std::int32_t d[4];
        const std::size_t count = std::min<std::size_t>(4, s.kept.size() - j);
        distances(s.other.data(), sums_[candidate.id], kept_ids + j, count, d);
        for (std::size_t t = 0; t < count; ++t) diverse &= d[t] >= candidate.distance;
      }
      if (!diverse) continue;
      kept_ids[s.kept.size()] = candidate.id;
      s.kept.push_back(candidate);
    }
    list.swap(s.kept);
  }

  /// The nearest row by greedy steps on the levels above the row's own.
  Link descend(std::uint32_t row, const Scratch& s) const {
    Link best{0, graph_.entry_};
    distances(s.question.data(), sums_[row], &best.id, 1, &best.distance);
    std::int32_t found[HnswGraph::kBaseLinks];
    for (int level = graph_.top_level(graph_.entry_); level > graph_.top_level(row); --level) {
      for (bool moved = true; moved;) {
        moved = false;
        const auto ids = graph_.links(best.id, level);
        distances(s.question.data(), sums_[row], ids.data(), ids.size(), found);
        for (std::size_t j = 0; j < ids.size(); ++j) {
          if (found[j] >= best.distance) continue;
          best = {found[j], ids[j]};
          moved = true;
        }
      }
    }
    return best;
  }

  void insert(std::uint32_t row, Scratch& s) {
    to_signed(codes_.row(row), codes_.dim(), s.question.data());
    Link best = descend(row, s);
    for (int level = std::min(graph_.top_level(graph_.entry_), graph_.top_level(row)); level >= 0; --level) {
      search_level(row, best, level, s);
      s.list.clear();
      for (const auto& entry : s.beam.entries()) s.list.push_back({entry.distance, entry.id()});
      best = s.list.front();
      select(s.list, limit(row, level), s);
      write_links(row, level, s.list);
      for (const Link& link : s.list) s.reverse.push_back({link.id, level, {link.distance, row}});
    }
  }

  const UniformCodes& codes_;
  const HnswOptions& options_;
  HnswGraph graph_;
  const internal::Copies copies_;
  std::vector<std::int32_t> sums_;
  std::vector<Scratch> scratch_;
  std::vector<ReverseLink> all_;
  std::vector<std::size_t> starts_;
};

HnswGraph build_hnsw(const UniformCodes& codes, const HnswOptions& options,
                     const std::function<void(std::uint64_t)>& on_rows) {
  if (codes.rows() == 0) throw Error(Errc::usage, "there are no rows to link");
  return HnswBuilder(codes, options).build(on_rows);
}

}  // namespace reef::vector
