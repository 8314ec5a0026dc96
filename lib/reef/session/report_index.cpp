#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/units.h"
#include "reef/session/index.h"
#include "reef/session/words.h"

namespace reef::session {

std::string to_text(const std::vector<IndexReport>& reports) {
  std::string text;
  for (const IndexReport& report : reports) {
    if (!report.changed()) {
      text += fmt::format("{}: already so; {} turns have vectors{}\n", report.persona, report.turns,
                          report.pending > 0 ? fmt::format(", {} wait", report.pending) : "");
      continue;
    }
    text += fmt::format("{}: {} turns embedded by {}", report.persona, report.embedded, report.model);
    if (report.removed > 0) text += fmt::format(", {} removed", report.removed);
    if (report.pending > 0) text += fmt::format(", {} wait", report.pending);
    text += fmt::format("; {} have vectors\n", report.turns);
  }
  return text;
}

std::string to_json(const std::vector<IndexReport>& reports) {
  std::string text;
  for (const IndexReport& report : reports) {
    const nlohmann::ordered_json json{{"schema", "reef.session.index/1"}, {"persona", report.persona},
                                      {"changed", report.changed()},      {"model", report.model},
                                      {"embedded", report.embedded},      {"removed", report.removed},
                                      {"pending", report.pending},        {"turns", report.turns},
                                      {"rebuilt", report.rebuilt},        {"seconds", report.seconds}};
    text += (text.empty() ? "" : "\n") + dump(json);
  }
  return text;
}

std::string to_text(const WordsReport& report) {
  std::string text = fmt::format("full text of {} messages made anew", format_count(report.messages));
  if (report.unread > 0)
    text += fmt::format("; {} have no words: their archive is damaged", format_count(report.unread));
  return text + "\n";
}

std::string to_json(const WordsReport& report) {
  return dump({{"schema", "reef.session.rebuild_words/1"}, {"messages", report.messages}, {"unread", report.unread}});
}

}  // namespace reef::session
