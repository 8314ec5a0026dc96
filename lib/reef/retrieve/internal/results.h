#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "reef/retrieve/layer.h"
#include "reef/retrieve/near_duplicates.h"
#include "reef/retrieve/query.h"

namespace reef::retrieve::internal {

/// The results of one answer: one for each document, unless passages are asked for, and none that
/// says what an earlier one says.
class Results {
 public:
  Results(const std::vector<std::shared_ptr<Layer>>& layers, const QueryOptions& options)
      : layers_(layers), options_(options), used_(layers.size()) {}

  bool full() const { return results_.size() >= options_.count; }
  /// Takes candidates, best first, until it is full. Returns how many results that made.
  std::size_t take(const std::vector<Scored>& candidates);
  /// Lets the layers leave out what was taken or refused, to make room for other documents.
  void leave_out_used();
  std::vector<Result> ranked() &&;

 private:
  const std::vector<std::shared_ptr<Layer>>& layers_;
  const QueryOptions& options_;
  std::vector<std::vector<std::int64_t>> used_;  ///< ids for each layer, since leave_out_used()
  NearDuplicates texts_;
  std::set<std::string> documents_;
  std::vector<Result> results_;
};

}  // namespace reef::retrieve::internal
