#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reef {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

/// Rows that print themselves: two spaces between columns, no trailing blanks, widths in terminal
/// cells (wide and combining characters counted as a terminal shows them). Control characters of
/// a cell are shown as "\x1b": text from a document must never steer a terminal.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }

  /// The header line (unless every title is empty) and all rows, each ended by a newline.
  std::string to_text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// `text` with everything that steers a terminal made visible: control characters and bytes that
/// are no UTF-8 as "\x1b", control characters beyond ASCII and marks that change the direction of
/// writing as "\u202e". Newlines and tabs stay when `keep_newlines`.
std::string printable(std::string_view text, bool keep_newlines = false);

/// Cells that a terminal uses for UTF-8 `text`.
std::size_t display_width(std::string_view text);

/// The first `width` cells of `text`, ended by "…" when it was cut; never splits a character.
std::string ellipsis(std::string_view text, std::size_t width);

}  // namespace reef
