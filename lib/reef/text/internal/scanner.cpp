#include "reef/text/internal/scanner.h"

#include <algorithm>

#include "reef/text/internal/strings.h"
#include "reef/text/parse.h"

namespace reef::text {
namespace internal {
namespace {

/// The start of the first line at or after `at` that is not blank; text.size() if there is none.
std::size_t skip_blank_lines(std::string_view text, std::size_t at) {
  std::size_t line = at;
  for (; at < text.size() && is_space(text[at]); ++at) {
    if (text[at] == '\n') line = at + 1;
  }
  return at == text.size() ? at : line;
}

/// The largest prefix of a text without a block border that may be cut off.
std::size_t forced_cut(std::string_view text) {
  if (const std::size_t line = text.rfind('\n'); line != std::string_view::npos && line > 0) return line + 1;
  for (std::size_t at = text.size(); at > text.size() / 2; --at) {
    if (is_space(text[at - 1])) return at;
  }
  // The last character may be cut by the end of the piece: it goes with the next one.
  const std::size_t cut = character_start(text, text.size() - 1);
  return cut > 0 ? cut : text.size();
}

/// Paragraphs: lines up to an empty one.
class TextScanner : public BlockScanner {
 protected:
  std::optional<Block> next(std::string_view text, std::size_t begin, bool last) override {
    Block block;
    block.start = begin;
    for (std::size_t at = begin; at < text.size();) {
      const LineSpan line = line_at(text, at);
      if (is_blank(text.substr(at, line.end - at))) {
        if (!line.complete && !last) return std::nullopt;
        return block;
      }
      block.end = line.end;
      at = line.next;
    }
    if (!last) return std::nullopt;
    return block;
  }
};

/// Code in any language: runs between empty lines, joined where the next run goes on inside of the
/// same function (it is indented, or closes something), as long as that stays readable.
class SourceScanner : public BlockScanner {
 protected:
  std::optional<Block> next(std::string_view text, std::size_t begin, bool last) override {
    Block block;
    block.start = begin;
    block.verbatim = true;
    bool gap = false;
    for (std::size_t at = begin; at < text.size();) {
      const LineSpan line = line_at(text, at);
      const std::string_view content = text.substr(at, line.end - at);
      if (is_blank(content)) {
        if (!line.complete && !last) return std::nullopt;
        gap = true;
      } else {
        if (gap && (!goes_on(content) || block.end - block.start >= kJoinedBytes)) return block;
        gap = false;
        block.end = line.end;
      }
      at = line.next;
    }
    if (!last) return std::nullopt;
    return block;
  }

 private:
  static constexpr std::size_t kJoinedBytes = 2048;

  static bool goes_on(std::string_view line) {
    return is_space(line[0]) || line[0] == '}' || line[0] == ')' || line[0] == ']' || line == "end";
  }
};

}  // namespace

LineSpan line_at(std::string_view text, std::size_t begin) {
  const std::size_t end = text.find('\n', begin);
  if (end == std::string_view::npos) return {text.size(), text.size(), false};
  return {end, end + 1, true};
}

std::size_t BlockScanner::scan(std::string_view text, bool last, std::vector<Block>& blocks, std::size_t max_blocks) {
  std::size_t at = 0;
  const std::size_t limit = blocks.size() + std::min(max_blocks, SIZE_MAX - blocks.size());
  const auto take = [&](Block block) {
    at = static_cast<std::size_t>(block.end);
    while (block.end > block.start && is_space(text[static_cast<std::size_t>(block.end) - 1])) --block.end;
    if (block.end > block.start) blocks.push_back(std::move(block));
  };
  while (blocks.size() < limit) {
    const std::size_t begin = skip_blank_lines(text, at);
    if (begin == text.size()) return text.size();
    if (std::optional<Block> block = next(text, begin, last)) {
      take(std::move(*block));
      continue;
    }
    if (begin > 0) return begin;
    // What the scanner sees as one block fills the whole piece.
    if (std::optional<Block> block = next(text.substr(0, forced_cut(text)), 0, true)) take(std::move(*block));
    return at;
  }
  return at;
}

std::unique_ptr<BlockScanner> make_text_scanner() { return std::make_unique<TextScanner>(); }
std::unique_ptr<BlockScanner> make_source_scanner() { return std::make_unique<SourceScanner>(); }

std::unique_ptr<BlockScanner> make_scanner(Format format) {
  if (format == Format::markdown) return make_markdown_scanner();
  if (format == Format::source) return make_source_scanner();
  return make_text_scanner();
}

Document scan_whole(std::string text, BlockScanner& scanner) {
  Document document;
  document.text = std::move(text);
  scanner.scan(document.text, true, document.blocks, SIZE_MAX);
  document.title = scanner.title();
  return document;
}

}  // namespace internal

Document parse_text(std::string text, Format format) {
  if (format == Format::man) return internal::render_man(text);
  return internal::scan_whole(std::move(text), *internal::make_scanner(format));
}

}  // namespace reef::text
