// A tokenizer.json from outside, and a compiled block that was damaged on disk: the input is the
// file, its own bytes are also the text, and they choose where the block is damaged.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/embed/tokenizer.h"
#include "reef/embed/vocabulary.h"

namespace {

void check_ids(const std::vector<std::uint8_t>& block, std::string_view text) {
  const reef::embed::Tokenizer tokenizer(block);
  const std::vector<std::uint32_t> ids = tokenizer.encode(text, SIZE_MAX);
  if (ids.size() != tokenizer.count(text) + 2) std::abort();
  for (const std::uint32_t id : ids) {
    if (id >= tokenizer.vocabulary_size()) std::abort();
  }
  std::vector<std::uint32_t> cut = tokenizer.encode(text, 7);
  if (cut.size() > 7 || !std::equal(cut.begin(), cut.end() - 1, ids.begin())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    std::vector<std::uint8_t> block = reef::embed::compile_vocabulary_json(text, "input");
    check_ids(block, text);
    std::uint64_t state = size;
    for (const char byte : text) state = state * 31 + static_cast<std::uint8_t>(byte);
    for (int i = 0; i < 4; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      block[(state >> 33) % block.size()] ^= static_cast<std::uint8_t>(state >> 25);
      check_ids(block, text);
    }
  } catch (const reef::Error&) {
  }
  return 0;
}
