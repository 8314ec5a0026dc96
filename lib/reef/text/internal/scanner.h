#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/text/document.h"
#include "reef/text/internal/headings.h"

namespace reef::text::internal {

/// Finds the blocks of a text whose offsets are those of the file (plain text, Markdown, source
/// code), piece by piece, so that a file of any length is cut in bounded memory.
class BlockScanner {
 public:
  virtual ~BlockScanner() = default;

  /// Appends at most `max_blocks` blocks of `text` and returns how many bytes are done with; the
  /// caller passes the rest again, with more text behind it unless `last`. A block longer than
  /// `text` is cut at a line end, else at white space, else at a character border, so that there
  /// is always progress. Offsets count from the start of `text`.
  std::size_t scan(std::string_view text, bool last, std::vector<Block>& blocks, std::size_t max_blocks);

  const std::string& title() const { return title_; }

 protected:
  /// The block that starts on the line at `begin`, which is not blank; nullopt when its end may lie
  /// behind `text`, and only then the scanner must not have changed. `last`: `text` ends it anyway.
  /// An empty block (start == end) is skipped up to its end.
  virtual std::optional<Block> next(std::string_view text, std::size_t begin, bool last) = 0;

  std::string title_;
};

/// Where a line ends: `end` without its line feed, `next` behind it.
struct LineSpan {
  std::size_t end = 0;
  std::size_t next = 0;
  bool complete = false;  ///< a line feed was there
};
LineSpan line_at(std::string_view text, std::size_t begin);

std::unique_ptr<BlockScanner> make_text_scanner();
std::unique_ptr<BlockScanner> make_source_scanner();
std::unique_ptr<BlockScanner> make_markdown_scanner();
/// For text, markdown or source.
std::unique_ptr<BlockScanner> make_scanner(Format format);

/// All blocks of a whole text, and its title.
Document scan_whole(std::string text, BlockScanner& scanner);

/// A man page's source (roff with man(7) or mdoc(7) macros) as text.
Document render_man(std::string_view source);

}  // namespace reef::text::internal
