#include "reef/text/internal/vader_data.h"

#include <charconv>

// The tables of ../data as they are, found by bisection where they lie in the executable: nothing is read or built
// when a command starts.
#define REEF_TABLE(symbol, file)                                                             \
  asm(".pushsection .rodata." #symbol ",\"a\"\n" #symbol ":\n.incbin \"" file "\"\n" #symbol \
      "_end:\n"                                                                              \
      ".byte 0\n.popsection\n.globl " #symbol "\n.globl " #symbol "_end\n");                 \
  extern "C" const char(symbol)[], symbol##_end[]
REEF_TABLE(reef_vader_lexicon, "vader_lexicon.tsv");
REEF_TABLE(reef_vader_emoji, "vader_emoji.tsv");

namespace reef::text::internal {
namespace {

/// What stands behind `key` and a tab in lines that are sorted by byte.
std::string_view find_line(std::string_view table, std::string_view key) {
  while (!table.empty()) {
    const std::size_t before = table.rfind('\n', table.size() / 2);
    const std::size_t start = before == std::string_view::npos || before + 1 == table.size() ? 0 : before + 1;
    const std::size_t end = table.find('\n', start);
    const std::string_view line = table.substr(start, end - start);
    const std::size_t tab = line.find('\t');
    const int order = key.compare(line.substr(0, tab));
    if (order == 0) return line.substr(tab + 1);
    table = order < 0 ? table.substr(0, start) : table.substr(end + 1);
  }
  return {};
}

}  // namespace

std::optional<double> vader_rating(std::string_view token) {
  const std::string_view digits = find_line({reef_vader_lexicon, reef_vader_lexicon_end}, token);
  double rating = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), rating).ec != std::errc{}) return std::nullopt;
  return rating;
}

std::string_view emoji_description(std::string_view character) {
  return find_line({reef_vader_emoji, reef_vader_emoji_end}, character);
}

}  // namespace reef::text::internal
