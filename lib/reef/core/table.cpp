#include "reef/core/table.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "reef/core/internal/utf8.h"

namespace reef {
namespace {

using internal::utf8_step;
using internal::Utf8Step;

std::size_t cells_of(char32_t code) {
  const int width = utf8proc_charwidth(static_cast<utf8proc_int32_t>(code));
  return width > 0 ? static_cast<std::size_t>(width) : 0;
}

/// Characters that move the cursor, change colours or reorder what stands beside them: controls,
/// line and paragraph separators, and the marks that change the direction of writing.
bool steers(char32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return true;
  return (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0x200E || code == 0x200F ||
         code == 0x061C;
}

void append_printable(std::string& out, std::string_view bytes, const Utf8Step& step) {
  if (step.valid && step.code >= 0x80) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(step.code));
    return;
  }
  for (const char byte : bytes) {
    fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  }
}

void append_row(std::string& out, const std::vector<std::string>& cells, const std::vector<Column>& columns,
                const std::vector<std::size_t>& widths) {
  const std::size_t start = out.size();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) out += "  ";
    const std::size_t width = display_width(cells[i]);
    const std::string padding(widths[i] - width, ' ');
    const bool right = i < columns.size() && columns[i].align == Align::right;
    out += right ? padding + cells[i] : cells[i] + padding;
  }
  out.erase(std::max(start, out.find_last_not_of(' ') + 1));
  out += '\n';
}

}  // namespace

std::string Table::to_text() const {
  std::vector<std::vector<std::string>> lines;
  lines.reserve(rows_.size() + 1);
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(printable(column.title));
  const bool titled = std::any_of(titles.begin(), titles.end(), [](const auto& title) { return !title.empty(); });
  if (titled) lines.push_back(std::move(titles));
  for (const auto& row : rows_) {
    std::vector<std::string> cells;
    cells.reserve(row.size());
    for (const std::string& cell : row) cells.push_back(printable(cell));
    lines.push_back(std::move(cells));
  }

  std::vector<std::size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], display_width(line[i]));
  }
  std::string text;
  for (const auto& line : lines) append_row(text, line, columns_, widths);
  return text;
}

std::string printable(std::string_view text, bool keep_newlines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const std::string_view bytes = text.substr(0, step.length);
    const bool kept = keep_newlines && (step.code == U'\n' || step.code == U'\t');
    if (step.valid && (kept || !steers(step.code))) {
      out += bytes;
    } else {
      append_printable(out, bytes, step);
    }
    text.remove_prefix(step.length);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t cells = 0;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    cells += cells_of(step.code);
    text.remove_prefix(step.length);
  }
  return cells;
}

std::string ellipsis(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t cells = 0;
  std::size_t bytes = 0;
  while (bytes < text.size()) {
    const Utf8Step step = utf8_step(text.substr(bytes));
    cells += cells_of(step.code);  // marks that combine with the character before take no cell
    if (cells > width - 1) break;
    bytes += step.length;
  }
  return std::string(text.substr(0, bytes)) + "…";
}

}  // namespace reef
