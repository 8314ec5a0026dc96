#pragma once

#include <algorithm>
#include <cstddef>

namespace reef::vector::internal {

/// Of the candidates that a graph chooses by its codes, this many are scored in float. Codes misplace a row by few
/// ranks, however many are asked for; a wider search would cost time that no result is worth.
inline std::size_t graph_candidates(std::size_t k) { return k + std::max<std::size_t>(30, k / 4); }

/// The same of an index that a factory string made: it may keep far less of a vector, and is asked seldom.
inline std::size_t faiss_candidates(std::size_t k) { return std::max(2 * k, k + 50); }

}  // namespace reef::vector::internal
