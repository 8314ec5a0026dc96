#include <algorithm>

#include "reef/text/internal/scanner.h"
#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

/// A line of code fence: its character, how long the run of it is, what stands behind.
struct Fence {
  char mark = 0;
  std::size_t length = 0;
  std::string_view info;
};

std::optional<Fence> fence_of(std::string_view line) {
  line = trimmed(line);
  if (line.size() < 3 || (line[0] != '`' && line[0] != '~')) return std::nullopt;
  const std::size_t length = std::min(line.find_first_not_of(line[0]), line.size());
  const std::string_view info = trimmed(line.substr(length));
  // "``` code ```" on one line is a code span.
  if (length < 3 || (line[0] == '`' && info.find('`') != std::string_view::npos)) return std::nullopt;
  return Fence{line[0], length, info};
}

std::size_t indentation(std::string_view line) {
  std::size_t columns = 0;
  for (const char c : line) {
    if (c == ' ')
      ++columns;
    else if (c == '\t')
      columns += 4;
    else
      break;
  }
  return columns;
}

bool is_list_item(std::string_view line) {
  line = trimmed(line);
  if (line.size() < 2) return false;
  if (line[0] == '-' || line[0] == '*' || line[0] == '+') return is_space(line[1]);
  std::size_t digits = 0;
  while (digits < line.size() && digits < 10 && is_digit(line[digits])) ++digits;
  return digits > 0 && digits < 10 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') &&
         is_space(line[digits + 1]);
}

/// 1 to 6 for "# Heading", else 0.
int atx_level(std::string_view line) {
  if (indentation(line) > 3) return 0;
  line = trimmed(line);
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level == 0 || level > 6 || (level < line.size() && !is_space(line[level]))) return 0;
  return static_cast<int>(level);
}

/// 1 or 2 for a line that makes the line before it a heading, else 0.
int setext_level(std::string_view line) {
  if (indentation(line) > 3) return 0;
  line = trimmed(line);
  if (line.empty() || (line[0] != '=' && line[0] != '-')) return 0;
  return line.find_first_not_of(line[0]) != std::string_view::npos ? 0 : line[0] == '=' ? 1 : 2;
}

bool is_table_rule(std::string_view line) {
  return line.find('-') != std::string_view::npos && line.find('|') != std::string_view::npos &&
         trimmed(line).find_first_not_of("|-: \t") == std::string_view::npos;
}

/// The words of a heading without what Markdown wraps around them.
std::string heading_words(std::string_view text) {
  text = trimmed(text);
  while (text.starts_with('#')) text.remove_prefix(1);
  text = trimmed(text);
  if (const std::size_t last = text.find_last_not_of('#');
      last != std::string_view::npos && last + 1 < text.size() && is_space(text[last])) {
    text = text.substr(0, last);
  }
  if (const std::size_t brace = text.rfind("{#"); brace != std::string_view::npos && text.ends_with('}')) {
    text = text.substr(0, brace);
  }
  std::string out;
  std::size_t target_end = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i < target_end) continue;
    const char c = text[i];
    if (c == '*' || c == '`' || c == '[') continue;
    if (c == ']') {
      const std::size_t close = i + 1 < text.size() && text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
      if (close != std::string_view::npos) target_end = close + 1;
      continue;
    }
    out += c;
  }
  return collapsed(out);
}

class MarkdownScanner : public BlockScanner {
 protected:
  std::optional<Block> next(std::string_view text, std::size_t begin, bool last) override {
    if (at_start_) {
      std::optional<Block> front = front_matter(text, begin, last);
      if (!front) return std::nullopt;
      at_start_ = false;
      if (front->end > begin) return front;
    }
    const LineSpan first = line_at(text, begin);
    if (!first.complete && !last) return std::nullopt;
    const std::string_view line = text.substr(begin, first.end - begin);
    if (open_fence_) return code(text, begin, begin, *open_fence_, last);
    if (const auto fence = fence_of(line)) return code(text, begin, first.next, *fence, last);
    if (const int level = atx_level(line); level > 0) return heading(level, line, begin, first.end);
    return lines(text, begin, first, last);
  }

 private:
  static constexpr std::size_t kFrontMatterBytes = 64 << 10;

  Block block(std::size_t start, std::size_t end, bool verbatim = false) const {
    Block out;
    out.start = start;
    out.end = end;
    out.heading_path = headings_.path();
    out.verbatim = verbatim;
    return out;
  }

  Block heading(int level, std::string_view line, std::size_t start, std::size_t end) {
    const std::string words = heading_words(line);
    headings_.enter(level, words);
    if (title_.empty()) title_ = tidy_title(words);
    return block(start, end);
  }

  /// YAML between two lines of "---" at the very start: no text, but it may name the title. An empty
  /// block at `begin` where there is none.
  std::optional<Block> front_matter(std::string_view text, std::size_t begin, bool last) {
    const Block none = block(begin, begin);
    const LineSpan first = line_at(text, begin);
    if (begin != 0 || trimmed(text.substr(0, first.end)) != "---") return none;
    std::string title;
    for (std::size_t at = first.next; at < text.size() && at < kFrontMatterBytes;) {
      const LineSpan line = line_at(text, at);
      if (!line.complete && !last) return std::nullopt;
      const std::string_view content = text.substr(at, line.end - at);
      if (trimmed(content) == "---" || trimmed(content) == "...") {
        title_ = tidy_title(title);
        return block(line.next, line.next);
      }
      if (content.starts_with("title:")) {
        std::string_view value = trimmed(content.substr(6));
        if (value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\'')) {
          value = value.substr(1, value.size() - 2);
        }
        title = value;
      }
      at = line.next;
    }
    if (!last && text.size() < kFrontMatterBytes) return std::nullopt;
    return none;
  }

  /// A fenced block from `begin`, whose code starts at `at`, up to its closing fence. Cut by the end
  /// of a piece, it goes on in the next one.
  std::optional<Block> code(std::string_view text, std::size_t begin, std::size_t at, Fence fence, bool last) {
    while (at < text.size()) {
      const LineSpan line = line_at(text, at);
      const auto close = fence_of(text.substr(at, line.end - at));
      if (close && close->mark == fence.mark && close->length >= fence.length && close->info.empty()) {
        if (!line.complete && !last) return std::nullopt;
        open_fence_.reset();
        return block(begin, line.end, true);
      }
      at = line.next;
    }
    if (!last) return std::nullopt;
    fence.info = {};
    open_fence_ = fence;
    return block(begin, text.size(), true);
  }

  /// A paragraph, list item, table, or a heading by the line under it.
  std::optional<Block> lines(std::string_view text, std::size_t begin, const LineSpan& first, bool last) {
    const std::string_view opening = text.substr(begin, first.end - begin);
    const bool item = is_list_item(opening);
    std::size_t end = first.end;
    std::size_t count = 1;
    bool table = false;
    bool gap = false;
    for (std::size_t at = first.next; at < text.size();) {
      const LineSpan line = line_at(text, at);
      if (!line.complete && !last) return std::nullopt;
      const std::string_view content = text.substr(at, line.end - at);
      const bool blank = is_blank(content);
      if (blank && !item) return block(begin, end, table);
      if (!blank) {
        // Behind an empty line only what is indented still belongs to the list item.
        if (gap && indentation(content) < 2) return block(begin, end);
        if (count == 1 && !item && !gap) {
          if (const int level = setext_level(content); level > 0) return heading(level, opening, begin, line.end);
          table = opening.find('|') != std::string_view::npos && is_table_rule(content);
        }
        if (fence_of(content) || atx_level(content) > 0 || is_list_item(content)) return block(begin, end, table);
        end = line.end;
        ++count;
      }
      gap = blank;
      at = line.next;
    }
    if (!last) return std::nullopt;
    return block(begin, end, table);
  }

  Headings headings_;
  std::optional<Fence> open_fence_;
  bool at_start_ = true;
};

}  // namespace

std::unique_ptr<BlockScanner> make_markdown_scanner() { return std::make_unique<MarkdownScanner>(); }

}  // namespace reef::text::internal
