#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/session/import.h"
#include "reef/session/list.h"

namespace reef::session {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::string& time) { return time.empty() ? Json(nullptr) : Json(rfc3339_of(time)); }

}  // namespace

std::string to_text(const ImportReport& report) {
  const PutCounts& counts = report.counts;
  if (!report.changed() && report.skipped == 0)
    return fmt::format("already so; {} unchanged\n", counted(counts.unchanged, "message", "messages"));
  std::string text = fmt::format("{}: {} added", report.persona, counted(counts.added, "message", "messages"));
  if (counts.sessions > 0) text += fmt::format(" in {}", counted(counts.sessions, "new session", "new sessions"));
  if (counts.updated > 0) text += fmt::format(", {} updated", format_count(counts.updated));
  if (counts.unchanged > 0) text += fmt::format(", {} unchanged", format_count(counts.unchanged));
  if (counts.titled > 0) text += fmt::format(", {} renamed", counted(counts.titled, "session", "sessions"));
  if (report.skipped > 0) text += fmt::format(", {} skipped", format_count(report.skipped));
  return text + fmt::format("; in {:.1f} s\n", report.seconds);
}

std::string to_json(const ImportReport& report) {
  Json faults = Json::array();
  for (const ImportFault& fault : report.faults)
    faults.push_back({{"file", fault.file}, {"line", fault.line}, {"reason", fault.reason}, {"hint", fault.hint}});
  return dump({{"schema", "reef.session.import/1"},
               {"persona", report.persona},
               {"changed", report.changed()},
               {"messages", report.messages},
               {"sessions_added", report.counts.sessions},
               {"added", report.counts.added},
               {"updated", report.counts.updated},
               {"unchanged", report.counts.unchanged},
               {"skipped", report.skipped},
               {"seconds", report.seconds},
               {"faults", faults}});
}

std::string to_json(const SessionRow& session) {
  return dump({{"schema", "reef.session.list/1"},
               {"session", session.id},
               {"persona", session.persona},
               {"title", text_or_null(session.title)},
               {"summary", text_or_null(session.summary)},
               {"summary_model", text_or_null(session.summary_model)},
               {"messages", session.messages},
               {"archived_messages", session.archived},
               {"archive_file", text_or_null(session.archive_file)},
               {"first", time_or_null(session.first)},
               {"last", time_or_null(session.last)},
               {"created", time_or_null(session.created)},
               {"updated", time_or_null(session.updated)},
               {"content_bytes", session.content_bytes}});
}

std::string to_text(const SessionList& list) {
  if (list.sessions.empty()) return "no sessions\n";
  Table table({{"SESSION"}, {"PERSONA"}, {"MESSAGES", Align::right}, {"FIRST"}, {"LAST"}, {"STATE"}, {"TITLE"}});
  constexpr std::size_t kMinutes = 16;  // "2026-11-24 08:15"
  constexpr std::size_t kTitleCells = 40;
  for (const SessionRow& session : list.sessions) {
    const char* state = session.archived == 0 ? "" : session.archived == session.messages ? "archived" : "in part";
    table.add({session.id, session.persona, format_count(session.messages), session.first.substr(0, kMinutes),
               session.last.substr(0, kMinutes), state, ellipsis(printable(session.title), kTitleCells)});
  }
  return table.to_text();
}

std::string to_json(const SessionList& list) {
  std::string lines;
  for (const SessionRow& session : list.sessions) lines += (lines.empty() ? "" : "\n") + to_json(session);
  return lines;
}

}  // namespace reef::session
