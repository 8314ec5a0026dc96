#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/text.h"
#include "reef/retrieve/query.h"

namespace reef::retrieve {
namespace {

std::string citation(const Passage& passage) {
  std::string line = "[" + passage.id;
  if (!passage.created.empty()) line += " " + passage.created.substr(0, 10);
  line += "]";
  if (!passage.title.empty()) line += " " + printable(passage.title);
  if (!passage.heading_path.empty() && passage.heading_path != passage.title)
    line += " > " + printable(passage.heading_path);
  if (passage.page != 0) line += fmt::format(", page {}", passage.page);
  return line + "\n";
}

/// A passage's text as it may go to a terminal: the line ends of other systems, vertical tabs and
/// form feeds become newlines, what else steers a terminal is written out.
std::string clean(const std::string& text) {
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    lines += c == '\r' || c == '\v' || c == '\f' ? '\n' : c;
  }
  return printable(lines, true);
}

/// The longest beginning of `text`, cut at white space, that fits the budget.
std::string cut_to(const std::string& text, std::size_t budget,
                   const std::function<std::size_t(std::string_view)>& count) {
  std::size_t good = 0, bad = text.size() + 1;
  while (good + 1 < bad) {
    const std::size_t middle = good + (bad - good) / 2;
    (count(std::string_view(text).substr(0, middle)) <= budget ? good : bad) = middle;
  }
  if (good >= text.size()) return text;
  // Texts without spaces (Chinese, Japanese, addresses) are cut between characters.
  std::size_t end = text.find_last_of(" \t\n", good);
  if (end == std::string::npos || end < good - good / 5)
    for (end = good; end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80;) --end;
  return text.substr(0, end) + " …";
}

}  // namespace

std::string format_context(const Answer& answer, std::size_t budget,
                           const std::function<std::size_t(std::string_view)>& count) {
  std::string context;
  std::size_t used = 0;
  for (const Result& result : answer.results) {
    const std::string head = citation(result.passage);
    const std::size_t head_tokens = count(head);
    std::string text = clean(result.passage.text);
    std::size_t tokens = head_tokens + count(text);
    if (used + tokens > budget) {
      if (!context.empty()) continue;             // a shorter one further down may still fit
      const std::size_t least = head_tokens + 2;  // one of the text, and the mark that it was cut
      if (budget < least)
        throw Error(Errc::usage,
                    fmt::format("a budget of {} tokens holds no passage: the first one's citation takes {}", budget,
                                head_tokens),
                    fmt::format("pass --budget {} or more", least));
      text = cut_to(text, budget - head_tokens - 1, count);
      tokens = head_tokens + count(text);
    }
    context.append(context.empty() ? "" : "\n").append(head).append(text).append("\n");
    used += tokens;
  }
  return context;
}

}  // namespace reef::retrieve
