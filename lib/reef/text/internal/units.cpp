#include "reef/text/internal/units.h"

#include <algorithm>

#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

constexpr std::size_t kBytesPerToken = 32;
/// Two blocks further apart than this (front matter, a run of empty lines) share no chunk.
constexpr std::size_t kWidestGap = 64;

class Cutter {
 public:
  Cutter(const Document& document, const TokenCounter& count, std::size_t max_tokens)
      : document_(document), text_(document.text), count_(count), max_tokens_(max_tokens) {}

  Units cut() {
    for (std::size_t i = 0; i < document_.blocks.size(); ++i) {
      const Block& block = document_.blocks[i];
      if (i == 0 || block.heading_path != document_.blocks[i - 1].heading_path) open_section(block.heading_path);
      block_ = static_cast<std::uint32_t>(i);
      cut_block(block);
    }
    return std::move(out_);
  }

 private:
  std::size_t room() const { return out_.sections.back().room; }

  void open_section(std::string path) {
    const auto prefix = [&] {
      const std::string text = passage_text(document_.title, path, {});
      return text.empty() ? 0 : count_(text + "\n");
    };
    std::size_t used = prefix();
    while (used > max_tokens_ / 2 && !path.empty()) {
      const std::size_t separator = path.find(" > ");
      path = separator == std::string::npos ? std::string() : path.substr(separator + 3);
      used = prefix();
    }
    const std::size_t least = std::max<std::size_t>(max_tokens_ / 4, 1);
    out_.sections.push_back({std::move(path), std::max(max_tokens_ - std::min(used, max_tokens_), least)});
  }

  std::size_t cost(std::size_t start, std::size_t end) const {
    return std::max({count_(text_.substr(start, end - start)), (end - start) / kBytesPerToken, std::size_t{1}});
  }

  /// Longer than `room()` whatever its tokens are; so it need not be counted.
  bool hopeless(std::size_t start, std::size_t end) const { return (end - start) / kBytesPerToken > room(); }

  /// Where counting a unit at `start` begins: at the end of the unit before it, so that counters
  /// which count white space stay right in sum.
  std::size_t counted_from(std::size_t start) const {
    return out_.units.empty() || start - last_end_ > kWidestGap ? start : last_end_;
  }

  void add(std::size_t start, std::size_t end, std::size_t tokens, bool breaks) {
    Unit unit;
    unit.start = start;
    unit.end = end;
    unit.cost = tokens;
    unit.section = static_cast<std::uint32_t>(out_.sections.size() - 1);
    unit.block = block_;
    unit.breaks = breaks || (!out_.units.empty() && start - last_end_ > kWidestGap);
    out_.units.push_back(unit);
    last_end_ = end;
  }

  /// Adds the span as one unit if it fits.
  bool add_whole(std::size_t start, std::size_t end) {
    if (hopeless(start, end)) return false;
    const std::size_t from = counted_from(start);
    std::size_t tokens = cost(from, end);
    const bool alone = tokens > room() && from < start;  // perhaps only the gap made it too long
    if (alone) tokens = cost(start, end);
    if (tokens > room()) return false;
    add(start, end, tokens, alone);
    return true;
  }

  void cut_block(const Block& block) {
    const auto start = static_cast<std::size_t>(block.start);
    const std::string_view text = text_.substr(start, static_cast<std::size_t>(block.end) - start);
    if (block.verbatim && add_whole(start, start + text.size())) return;
    for (const Span& span : block.verbatim ? split_lines(text) : split_sentences(text)) {
      if (!add_whole(start + span.start, start + span.end)) cut_long(start + span.start, start + span.end);
    }
  }

  static bool ends_clause(char c) { return c == ',' || c == ';' || c == ':' || c == ')' || c == ']'; }

  /// A sentence longer than a chunk: as many words as fit, back to the end of a clause when that
  /// leaves more than half of them.
  void cut_long(std::size_t start, std::size_t end) {
    words_.clear();
    std::size_t sum = 0;
    for (std::size_t at = start; at < end;) {
      while (at < end && is_space(text_[at])) ++at;
      if (at == end) break;
      std::size_t word_end = at;
      while (word_end < end && !is_space(text_[word_end])) ++word_end;
      const std::size_t from = words_.empty() ? counted_from(at) : words_.back().end;
      const bool wide_gap = at - from > kWidestGap;
      std::size_t tokens = hopeless(at, word_end) ? SIZE_MAX : cost(wide_gap ? at : from, word_end);
      if (wide_gap || tokens > room() - sum) {
        while (!words_.empty() && (wide_gap || tokens > room() - sum)) sum -= flush_words();
      }
      const bool alone = tokens > room() && tokens != SIZE_MAX;  // perhaps only the gap made it too long
      if (alone) tokens = cost(at, word_end);
      if (tokens > room()) {
        cut_word(at, word_end);
      } else {
        words_.push_back({at, word_end, tokens, alone});
        sum += tokens;
      }
      at = word_end;
    }
    while (!words_.empty()) flush_words(words_.size());
  }

  /// Makes a unit of the first words and returns their cost.
  std::size_t flush_words() {
    std::size_t take = words_.size();
    for (std::size_t i = words_.size(); i > words_.size() / 2 && i > 0; --i) {
      if (ends_clause(text_[words_[i - 1].end - 1])) {
        take = i;
        break;
      }
    }
    return flush_words(take);
  }

  std::size_t flush_words(std::size_t take) {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < take; ++i) sum += words_[i].cost;
    add(words_[0].start, words_[take - 1].end, sum, words_[0].alone);
    words_.erase(words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(take));
    return sum;
  }

  /// A word longer than a chunk: the longest prefixes that fit, at character borders. Their counts
  /// do not add up, so that no two of them share a chunk.
  void cut_word(std::size_t start, std::size_t end) {
    while (start < end) {
      const std::size_t first = character_end(text_, start);
      std::size_t fits = first;
      std::size_t fails = end + 1;
      std::size_t probe = std::min(end, character_start(text_, start + room() * kBytesPerToken));
      while (probe > fits) {
        if (cost(start, probe) <= room()) {
          fits = probe;
        } else {
          fails = probe;
        }
        if (fits == end || fails == end + 1) break;
        probe = character_start(text_, fits + (fails - fits) / 2);
      }
      add(start, fits, cost(start, fits), true);
      start = fits;
    }
  }

  struct Word {
    std::size_t start = 0;
    std::size_t end = 0;
    std::size_t cost = 0;
    bool alone = false;
  };

  const Document& document_;
  std::string_view text_;
  const TokenCounter& count_;
  std::size_t max_tokens_;
  Units out_;
  std::uint32_t block_ = 0;
  std::size_t last_end_ = 0;
  std::vector<Word> words_;
};

}  // namespace

Units cut_units(const Document& document, const TokenCounter& count, std::size_t max_tokens) {
  return Cutter(document, count, max_tokens).cut();
}

}  // namespace reef::text::internal
