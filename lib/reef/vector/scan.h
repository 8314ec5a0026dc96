#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "reef/vector/codes.h"
#include "reef/vector/npy.h"

namespace reef::vector {

struct Hit {
  std::uint64_t row = 0;
  float score = 0;  ///< inner product, cosine for unit rows
};

/// Which rows may be found. Both spans sorted ascending.
struct RowFilter {
  const std::vector<std::uint64_t>* only = nullptr;  ///< exactly these rows; null: all
  std::span<const std::uint64_t> dead;               ///< tombstones, never found
};

/// The `k` rows of [begin, end) nearest to `query`, best first, ties by lower row.
///
/// 8-bit codes choose max(2k, k + 50) candidates, then the floats of vectors.npy score them, so the
/// scores are exact and the order is that of exact search but for rows that codes misplace by that
/// many ranks. Rows without codes (a missing or short codes file) are scored in float directly.
std::vector<Hit> scan(const NpyMatrix& vectors, const CodeMatrix& codes, std::span<const float> query, std::size_t k,
                      std::uint64_t begin, std::uint64_t end, const RowFilter& filter);

/// Exact search in float: the truth that scan() and the graph are measured against.
std::vector<Hit> scan_exact(const NpyMatrix& vectors, std::span<const float> query, std::size_t k, std::uint64_t begin,
                            std::uint64_t end, const RowFilter& filter);
/// The same over all rows, by `threads` threads.
std::vector<Hit> scan_exact(const NpyMatrix& vectors, std::span<const float> query, std::size_t k, unsigned threads);

/// Puts exact scores in the place of those that codes gave, and leaves those that may be among the `k` best: `hits` are
/// sorted by what their codes say, best first, and one that lies more than `doubt` under the k-th best exact score is
/// not looked at, nor any behind it. Codes of some rows err by more (values that are all alike, values beyond the
/// codes' range): the largest error met takes the place of a smaller `doubt`, and k + 10 are looked at in any case. The
/// result is sorted, without scores that are none. `read_rows`: copies the rows instead of mapping them, for a process
/// that asks one question (HnswSearch says why).
void score_exactly(const NpyMatrix& vectors, std::span<const float> query, std::vector<Hit>& hits, std::size_t k,
                   float doubt, bool read_rows);

}  // namespace reef::vector
