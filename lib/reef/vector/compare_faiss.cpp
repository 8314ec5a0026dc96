#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

constexpr std::size_t kQuestions = 100;
constexpr std::size_t kNearest = 10;
/// Up to here two scores tie: sums of weights of 15 bits and of floats differ by a third of it.
constexpr float kTie = 1e-4F;
/// A score that differs by more was computed of other values.
constexpr float kSameScore = 1e-3F;
/// Two walks of one graph may part where it is thin; more than this tells of another reading of the file.
constexpr double kLeastAgreement = .99;
/// Even an index that keeps a byte of each vector finds more of them again; one over other vectors finds none.
constexpr double kLeastFoundAgain = .05;

class Comparison {
 public:
  Comparison(const std::filesystem::path& folder, const StoreState& state)
      : state_(state),
        path_(folder / state.index_file),
        vectors_(internal::open_vectors(folder, state)),
        by_factory_(index_kind(state) == IndexKind::factory) {
    result_.file = state.index_file;
    result_.by_factory = by_factory_;
  }

  FaissComparison run() {
    try {
      compare();
    } catch (const Error& e) {
      if (e.code() == Errc::interrupted) throw;
      fault(e.what());
    }
    return std::move(result_);
  }

 private:
  void fault(std::string what) {
    result_.faults.push_back({io::shown(path_), std::move(what), false, "run 'reef-index build'"});
  }

  void compare() {
    std::optional<HnswFile> file;
    std::optional<HnswSearch> walk;
    FaissEffort effort;
    if (!by_factory_) {
      walk.emplace(file.emplace(path_));
      effort.ef = static_cast<unsigned>(file->ef_search());
    }
    FaissSearch faiss(path_, state_.dim, effort);
    result_.rows = faiss.rows();
    if (result_.rows != state_.rows_indexed)
      return fault(fmt::format("FAISS counts {} rows in it, the store {}", result_.rows, state_.rows_indexed));
    if (file && file->rows() != result_.rows)
      return fault(fmt::format("FAISS counts {} rows in it, reef {}", result_.rows, file->rows()));
    result_.questions = std::min<std::uint64_t>(kQuestions, result_.rows);
    for (std::size_t q = 0; q < result_.questions; ++q) {
      check_interrupt();
      const auto question = vectors_.row(q * (result_.rows / result_.questions));
      auto theirs = faiss.search(question, kNearest);
      if (!walk) {
        count_found_again(question, theirs);
        continue;
      }
      auto ours = walk->search(question, file->ef_search());
      ours.resize(std::min(ours.size(), kNearest));
      count_found_by_both(ours, theirs);
      count_found_by_both(theirs, ours);
      compare_scores(ours, theirs);
    }
    result_.agreement = all_ > 0 ? static_cast<double>(agreed_) / static_cast<double>(all_) : 1;
    judge();
  }

  /// Of many copies any will do.
  void count_found_again(std::span<const float> question, const std::vector<Hit>& hits) {
    ++all_;
    agreed_ += std::any_of(hits.begin(), hits.end(), [&](const Hit& hit) {
      return std::memcmp(vectors_.row(hit.row).data(), question.data(), question.size_bytes()) == 0;
    });
  }

  /// A row that the other way did not find counts as well where the last that it found is as near.
  void count_found_by_both(const std::vector<Hit>& hits, const std::vector<Hit>& others) {
    for (const Hit& hit : hits) {
      ++all_;
      const bool found = std::any_of(others.begin(), others.end(), [&](const Hit& o) { return o.row == hit.row; });
      if (found || (!others.empty() && hit.score <= others.back().score + kTie)) ++agreed_;
    }
  }

  void compare_scores(const std::vector<Hit>& ours, const std::vector<Hit>& theirs) {
    for (const Hit& hit : ours)
      for (const Hit& other : theirs)
        if (hit.row == other.row && std::abs(hit.score - other.score) > std::abs(worst_ours_ - worst_theirs_)) {
          worst_row_ = hit.row;
          worst_ours_ = hit.score;
          worst_theirs_ = other.score;
        }
  }

  void judge() {
    if (by_factory_) {
      if (result_.agreement < kLeastFoundAgain)
        fault(fmt::format("of {} vectors FAISS finds {:.0f} again: it is an index over others", result_.questions,
                          result_.agreement * static_cast<double>(result_.questions)));
      return;
    }
    if (std::abs(worst_ours_ - worst_theirs_) > kSameScore)
      fault(fmt::format("FAISS scores row {} with {:.4f}, reef with {:.4f}", worst_row_, worst_theirs_, worst_ours_));
    if (result_.agreement < kLeastAgreement)
      fault(fmt::format("FAISS and reef agree on {:.3f} of the rows that they find nearest", result_.agreement));
  }

  const StoreState& state_;
  const std::filesystem::path path_;
  const NpyMatrix vectors_;
  const bool by_factory_;
  FaissComparison result_;
  std::size_t agreed_ = 0;
  std::size_t all_ = 0;
  std::uint64_t worst_row_ = 0;
  float worst_ours_ = 0;
  float worst_theirs_ = 0;
};

}  // namespace

std::optional<FaissComparison> compare_with_faiss(const std::filesystem::path& folder, io::Database& metadata) {
  const StoreState state = read_state(metadata);
  if (state.rows_total == 0 || index_kind(state) == IndexKind::none) return std::nullopt;
  return Comparison(folder, state).run();
}

}  // namespace reef::vector
