// Any bytes as text, Markdown, source code and manual page, cut into chunks: every chunk fits, and
// every byte of a block that is not white space is in one. The first byte chooses the sizes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/text.h"
#include "reef/text/chunk.h"
#include "reef/text/parse.h"

namespace {

using reef::text::Document;
using reef::text::Format;

std::size_t count(std::string_view text) { return (text.size() + 3) / 4; }

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

void check(const Document& document, const reef::text::ChunkOptions& options) {
  if (!reef::is_valid_utf8(document.text) || !reef::is_valid_utf8(document.title)) std::abort();
  std::vector<bool> covered(document.text.size());
  for (const auto& chunk : reef::text::chunk(document, count, options)) {
    if (chunk.text.empty() || chunk.end > document.text.size() || chunk.end - chunk.start != chunk.text.size())
      std::abort();
    if (!reef::is_valid_utf8(chunk.text)) std::abort();
    // A title is at most 200 bytes, 50 tokens of this counter: it always leaves room.
    if (count(reef::text::passage_text(document.title, chunk.heading_path, chunk.text)) > options.max_tokens)
      std::abort();
    const auto start = static_cast<std::size_t>(chunk.start);
    if (document.text.compare(start, chunk.text.size(), chunk.text) != 0) std::abort();
    std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(start), chunk.text.size(), true);
  }
  for (const auto& block : document.blocks) {
    for (auto at = static_cast<std::size_t>(block.start); at < block.end; ++at) {
      if (!is_space(document.text[at]) && !covered[at]) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const reef::text::ChunkOptions options{70 + std::size_t{data[0]}, data[0] % 48u};
  const std::string text = reef::to_valid_utf8({reinterpret_cast<const char*>(data + 1), size - 1});
  for (const Format format : {Format::text, Format::markdown, Format::source, Format::man}) {
    check(reef::text::parse_text(text, format), options);
  }
  return 0;
}
