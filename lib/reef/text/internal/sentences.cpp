#include "reef/text/internal/sentences.h"

#include <algorithm>
#include <array>

#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

/// Abbreviations that stand before what they belong to: no sentence ends there.
constexpr auto kBeforeName = std::to_array<std::string_view>(
    {"approx", "capt",  "cf",   "col",  "dept", "dr",  "ed",  "eds",  "eq",  "eqs", "fig", "figs",
     "gen",    "gov",   "hon",  "incl", "lt",   "mr",  "mrs", "ms",   "mt",  "no",  "nos", "pp",
     "prof",   "ref",   "refs", "rep",  "resp", "rev", "sec", "sen",  "sgt", "spp", "ssp", "st",
     "subsp",  "suppl", "tab",  "univ", "var",  "viz", "vol", "vols", "vs"});

/// Abbreviations that a sentence may end with, where a capital letter follows.
constexpr auto kMayEnd = std::to_array<std::string_view>(
    {"al",  "apr", "aug", "ave", "avg", "bros", "co",  "conc", "corp", "dec",  "est", "etc", "ext",  "feb",
     "fri", "hr",  "hrs", "inc", "jan", "jr",   "jul", "jun",  "ltd",  "mar",  "max", "min", "misc", "mon",
     "nov", "oct", "sat", "sec", "sep", "sept", "sr",  "sun",  "tel",  "temp", "thu", "tue", "wed",  "wt"});

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr auto kWideEnds = std::to_array<std::string_view>({"\u3002", "\uff01", "\uff1f", "\uff61"});
constexpr auto kWideClosers =
    std::to_array<std::string_view>({"\u201d", "\u2019", "\u00bb", "\u300d", "\u300f", "\uff09", "\u3011"});
constexpr std::string_view kEllipsis = "\u2026";

template <std::size_t N>
std::size_t length_of_any(const std::array<std::string_view, N>& marks, std::string_view text) {
  for (const std::string_view mark : marks) {
    if (text.starts_with(mark)) return mark.size();
  }
  return 0;
}

std::size_t closer_length(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] == '"' || text[0] == '\'' || text[0] == ')' || text[0] == ']' || text[0] == '}' || text[0] == '*') {
    return 1;
  }
  return length_of_any(kWideClosers, text);
}

bool is_word_byte(char c) { return is_alpha(c) || is_digit(c) || c == '.' || static_cast<unsigned char>(c) >= 0x80; }

/// Whether a line starts like the item of a list.
bool starts_item(std::string_view line) {
  while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  if (line.size() > 1 && (line[0] == '-' || line[0] == '*' || line[0] == '+')) return is_space(line[1]);
  if (line.starts_with("\u2022")) return true;
  const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  return digits > 0 && digits < 4 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') &&
         is_space(line[digits + 1]);
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<Span> split() {
    for (std::size_t at = 0; at < text_.size();) {
      switch (text_[at]) {
        case '.':
        case '!':
        case '?':
          at = mark(at);
          break;
        case '\n':
          at = line_break(at);
          break;
        case '\xE2':
        case '\xE3':
        case '\xEF':
          at = wide_mark(at);
          break;
        default:
          ++at;
      }
    }
    end_at(text_.size());
    return std::move(sentences_);
  }

 private:
  void end_at(std::size_t end) {
    std::size_t last = end;
    while (start_ < last && is_space(text_[start_])) ++start_;
    while (last > start_ && is_space(text_[last - 1])) --last;
    if (last > start_) sentences_.push_back({start_, last});
    start_ = end;
  }

  /// A run of ".", "!" and "?" with the quotes and brackets that close behind it.
  std::size_t mark(std::size_t at) {
    std::size_t end = at;
    bool full_stop = true;
    while (end < text_.size() && (text_[end] == '.' || text_[end] == '!' || text_[end] == '?')) {
      full_stop = full_stop && text_[end] == '.';
      ++end;
    }
    const std::size_t marks_end = end;
    while (const std::size_t length = closer_length(text_.substr(end))) end += length;
    if (end == text_.size()) return end;
    if (!is_space(text_[end])) {
      if (full_stop && marks_end == at + 1 && end == marks_end && space_is_missing(at)) end_at(end);
      return end;
    }
    std::size_t next = end;
    while (next < text_.size() && is_space(text_[next])) ++next;
    if (next == text_.size()) return end;
    const bool closed = end > marks_end;
    const bool lower = is_lower(text_[next]);
    if (full_stop ? stop_ends(at, marks_end - at, text_[next], closed) : !(closed && lower)) end_at(end);
    return end;
  }

  /// The word that ends before `at`, as far as it matters.
  std::string_view word_before(std::size_t at) const {
    std::size_t begin = at;
    while (begin > start_ && at - begin < 24 && is_word_byte(text_[begin - 1])) --begin;
    return text_.substr(begin, at - begin);
  }

  bool stop_ends(std::size_t at, std::size_t stops, char follows, bool closed) const {
    const bool lower_follows = is_lower(follows);
    const std::string_view word = word_before(at);
    if (stops > 1) return !lower_follows;  // an ellipsis
    if (closed) return !lower_follows;
    if (word.empty()) return !lower_follows;
    const bool only_digits = word.find_first_not_of("0123456789.") == std::string_view::npos;
    if (only_digits) {
      // "1. Introduction" at the start of a sentence is a number of it.
      const bool first = word.data() == text_.data() + skip_space(start_);
      return !lower_follows && !(first && word.size() < 4);
    }
    if (word.size() == 1 && is_alpha(word[0])) return false;                         // an initial
    if (word.find('.') != std::string_view::npos && word.size() <= 6) return false;  // "e.g", "U.S", "p.m"
    const std::string lower = lower_case(word);
    if (contains(kBeforeName, lower)) return false;
    if (contains(kMayEnd, lower)) return is_upper(follows) || follows == '"';
    if (!lower_follows) return true;
    // People who chat write no capitals; an unknown abbreviation is short.
    return word.size() >= 3 && std::all_of(word.begin(), word.end(), is_lower);
  }

  std::size_t skip_space(std::size_t at) const {
    while (at < text_.size() && is_space(text_[at])) ++at;
    return at;
  }

  /// "... in disabilities.A line scan": abstracts are often joined so. Not in "Node.Name" or "a.b.C".
  bool space_is_missing(std::size_t at) const {
    const std::string_view word = word_before(at);
    if (word.size() < 4 || !std::all_of(word.begin(), word.end(), is_lower)) return false;
    const std::size_t begin = at - word.size();
    if (begin > 0 && !is_space(text_[begin - 1])) return false;
    if (!is_upper(text_[at + 1])) return false;
    std::size_t next = at + 2;
    while (next < text_.size() && is_lower(text_[next])) ++next;
    return next < text_.size() && (text_[next] == ' ' || text_[next] == ',');
  }

  /// An empty line and a line that starts a list item end a sentence, other line ends do not.
  std::size_t line_break(std::size_t at) {
    std::size_t next = at + 1;
    while (next < text_.size() && (text_[next] == ' ' || text_[next] == '\t' || text_[next] == '\r')) ++next;
    const bool blank = next < text_.size() && text_[next] == '\n';
    if (blank || starts_item(text_.substr(at + 1, 64))) end_at(at);
    return at + 1;
  }

  /// Chinese and Japanese sentences end without a space; "…" ends one as "..." does.
  std::size_t wide_mark(std::size_t at) {
    const std::string_view rest = text_.substr(at);
    if (rest.starts_with(kEllipsis)) {
      const std::size_t end = at + kEllipsis.size();
      const std::size_t next = skip_space(end);
      if (next > end && next < text_.size() && !is_lower(text_[next])) end_at(end);
      return end;
    }
    std::size_t length = length_of_any(kWideEnds, rest);
    if (length == 0) return at + 1;
    std::size_t end = at;
    while (length > 0) {
      end += length;
      length = length_of_any(kWideEnds, text_.substr(end));
    }
    while (const std::size_t closer = closer_length(text_.substr(end))) end += closer;
    end_at(end);
    return end;
  }

  std::string_view text_;
  std::size_t start_ = 0;
  std::vector<Span> sentences_;
};

}  // namespace

std::vector<Span> split_sentences(std::string_view text) { return Splitter(text).split(); }

std::vector<Span> split_lines(std::string_view text) {
  std::vector<Span> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::size_t last = end;
    while (last > at && is_space(text[last - 1])) --last;
    if (last > at) lines.push_back({at, last});
    at = end + 1;
  }
  return lines;
}

}  // namespace reef::text::internal
