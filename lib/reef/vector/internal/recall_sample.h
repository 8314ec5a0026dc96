#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "reef/vector/npy.h"
#include "reef/vector/scan.h"
#include "reef/vector/uniform_codes.h"

namespace reef::vector::internal {

/// Asks for the 10 nearest of a sample of a matrix's own rows and tells which share of them other ways of searching
/// find. A row that is as near as the tenth counts as found: of many copies any will do.
class RecallSampler {
 public:
  static constexpr std::size_t kNearest = 10;

  /// Searches exactly, in float over all rows.
  RecallSampler(const NpyMatrix& vectors, unsigned threads);

  std::size_t questions() const { return truth_.size(); }
  /// Of a scan of all codes, of which the best are scored anew.
  double of_codes(const UniformCodes& codes) const;
  /// Of what `search` finds for a question, with exact scores.
  double of(const std::function<std::vector<Hit>(std::span<const float>)>& search) const;

 private:
  std::uint64_t question_row(std::size_t q) const { return q * (vectors_.rows() / truth_.size()); }
  std::size_t found(std::size_t q, std::vector<Hit> hits) const;

  const NpyMatrix& vectors_;
  unsigned threads_;
  std::vector<std::vector<Hit>> truth_;
};

}  // namespace reef::vector::internal
