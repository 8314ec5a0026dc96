#pragma once

#include <array>
#include <cstdint>

namespace reef::vector::internal {

// What `reef-faiss search` and its parent tell each other, little-endian: a greeting when the index is open, then for
// each question a header and count x dim floats, answered by count x k entries, best first.

struct Greeting {
  std::array<char, 4> magic = {'R', 'F', 'S', '1'};
  std::uint32_t dim = 0;
  std::uint64_t rows = 0;
};
static_assert(sizeof(Greeting) == 16);

struct QuestionHeader {
  std::uint32_t count = 0;
  std::uint32_t dim = 0;
};
static_assert(sizeof(QuestionHeader) == 8);

#pragma pack(push, 1)
struct AnswerEntry {
  std::int64_t id = -1;  ///< row; -1 where nothing was found
  float score = 0;
};
#pragma pack(pop)
static_assert(sizeof(AnswerEntry) == 12);

}  // namespace reef::vector::internal
