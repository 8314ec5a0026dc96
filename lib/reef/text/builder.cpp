#include "reef/text/builder.h"

#include "reef/text/internal/strings.h"

namespace reef::text {

using internal::is_space;

void DocumentBuilder::heading(int level, std::string_view text) {
  if (internal::is_blank(text)) return;
  headings_.enter(level, text);
  add(internal::collapsed(text), false, false);
}

void DocumentBuilder::title(std::string_view text) {
  if (document_.title.empty()) document_.title = internal::tidy_title(text);
}

void DocumentBuilder::add(std::string_view text, bool verbatim, bool tight) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  // The first line of code keeps its indentation: the lines below it are read against it.
  while (!text.empty() && (verbatim ? text.front() == '\n' : is_space(text.front()))) text.remove_prefix(1);
  if (text.empty()) return;
  std::string& out = document_.text;
  if (!out.empty()) out += tight ? "\n" : "\n\n";
  Block block;
  block.start = out.size();
  out += text;
  block.end = out.size();
  block.heading_path = headings_.path();
  block.page = page_;
  block.verbatim = verbatim;
  document_.blocks.push_back(std::move(block));
}

}  // namespace reef::text
