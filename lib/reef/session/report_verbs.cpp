#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/session/append.h"
#include "reef/session/archive.h"
#include "reef/session/delete.h"
#include "reef/session/export.h"
#include "reef/session/show.h"
#include "reef/session/verify.h"

namespace reef::session {
namespace {

using Json = nlohmann::ordered_json;

Json failure_json(const std::optional<Error>& failure) {
  if (!failure) return nullptr;
  return {{"status", exit_status(failure->code())}, {"message", failure->what()}, {"hint", failure->hint()}};
}

/// The ids that 'show' prints beside the messages; of messages without one, the numbers.
std::vector<std::string> shown_sources(const SummarySentence& sentence) {
  if (sentence.external_ids.size() == sentence.messages.size()) return sentence.external_ids;
  std::vector<std::string> numbers;
  for (const std::int64_t message : sentence.messages) numbers.push_back(fmt::format("#{}", message));
  return numbers;
}

}  // namespace

std::string heading(const SessionRow& session, const std::optional<Summary>& summary) {
  std::string text = fmt::format("session {} of {}: {}", printable(session.id), printable(session.persona),
                                 counted(session.messages, "message", "messages"));
  if (session.archived > 0)
    text += fmt::format(", {} of them archived in {}", format_count(session.archived), printable(session.archive_file));
  text += '\n';
  if (!session.title.empty()) text += fmt::format("title: {}\n", printable(session.title));
  if (!summary) {
    if (!session.summary.empty()) text += fmt::format("summary: {}\n", printable(session.summary, true));
    return text;
  }
  if (!summary->sentences.empty()) text += fmt::format("summary, by {}:\n", printable(summary->model));
  for (const SummarySentence& sentence : summary->sentences)
    text += fmt::format("  {} [{}]\n", printable(sentence.text),
                        printable(fmt::format("{}", fmt::join(shown_sources(sentence), ", "))));
  return text;
}

std::string to_json(const Summary& summary, const SessionRow& session) {
  Json sentences = Json::array();
  for (const SummarySentence& sentence : summary.sentences)
    sentences.push_back(
        {{"text", sentence.text}, {"messages", sentence.messages}, {"external_ids", sentence.external_ids}});
  return dump({{"schema", "reef.session.summary/1"},
               {"session", session.id},
               {"persona", session.persona},
               {"model", summary.model},
               {"created", rfc3339_of(summary.created)},
               {"sentences", sentences}});
}

std::string to_text(const Message& message) {
  std::string text = fmt::format("\n{}  {}", printable(rfc3339_of(message.created)), printable(message.role));
  if (!message.speaker.empty()) text += fmt::format(" ({})", printable(message.speaker));
  if (!message.external_id.empty()) text += fmt::format("  [{}]", printable(message.external_id));
  return text + "\n" + printable(message.content, true) + "\n";
}

std::string to_json(const Message& message, const SessionRow& session) {
  Json metadata = nullptr;
  if (!message.metadata.empty()) {
    metadata = Json::parse(message.metadata, nullptr, false);
    if (metadata.is_discarded()) metadata = message.metadata;
  }
  return dump({{"schema", "reef.session.show/1"},
               {"session", session.id},
               {"persona", session.persona},
               {"id", message.id},
               {"external_id", text_or_null(message.external_id)},
               {"role", message.role},
               {"speaker", text_or_null(message.speaker)},
               {"content", message.content},
               {"created", rfc3339_of(message.created)},
               {"tokens", message.tokens ? Json(*message.tokens) : Json(nullptr)},
               {"metadata", metadata},
               {"archived", message.archive_offset.has_value()}});
}

std::string to_text(const AppendReport& report) { return printable(report.external_id) + "\n"; }

std::string to_json(const AppendReport& report) {
  return dump({{"schema", "reef.session.append/1"},
               {"session", report.session},
               {"persona", report.persona},
               {"external_id", report.external_id},
               {"id", report.id},
               {"created", rfc3339_of(report.created)},
               {"session_added", report.counts.sessions > 0},
               {"changed", report.counts.added + report.counts.updated > 0}});
}

std::string to_text(const ExportReport& report) {
  return fmt::format("{} of {} to {}, {}\n", counted(report.messages, "message", "messages"),
                     counted(report.sessions, "session", "sessions"), printable(report.output),
                     format_size(report.bytes));
}

std::string to_json(const ExportReport& report) {
  Json missing = Json::array();
  for (const auto& [session, error] : report.missing)
    missing.push_back({{"session", session}, {"message", error.what()}, {"hint", error.hint()}});
  return dump({{"schema", "reef.session.export/1"},
               {"output", report.output},
               {"sessions", report.sessions},
               {"messages", report.messages},
               {"bytes", report.bytes},
               {"missing", missing}});
}

std::string to_text(const ArchiveReport& report) {
  std::string text;
  std::uint64_t moved = 0, messages = 0;
  for (const ArchivedSession& session : report.sessions) {
    if (session.failure || !session.has_changed) continue;
    ++moved;
    messages += session.messages;
    if (report.dry_run)
      text +=
          fmt::format("{}: {}{} to {}\n", printable(session.id), counted(session.messages, "message", "messages"),
                      session.attachments > 0 ? fmt::format(", {}", counted(session.attachments, "file", "files")) : "",
                      printable(session.file.native()));
  }
  if (report.dry_run) return text + fmt::format("{} to archive (dry run)\n", counted(moved, "session", "sessions"));
  if (moved == 0) return report.failures() > 0 ? "" : "already so; 0 changes\n";
  return fmt::format("{} archived, {}\n", counted(moved, "session", "sessions"),
                     counted(messages, "message", "messages"));
}

std::string to_json(const ArchiveReport& report) {
  Json sessions = Json::array();
  bool changed = false;
  for (const ArchivedSession& session : report.sessions) {
    changed |= session.has_changed && !session.failure && !report.dry_run;
    sessions.push_back({{"session", session.id},
                        {"persona", session.persona},
                        {"messages", session.messages},
                        {"attachments", session.attachments},
                        {"file", session.file.native()},
                        {"changed", session.has_changed && !session.failure && !report.dry_run},
                        {"failure", failure_json(session.failure)}});
  }
  return dump({{"schema", "reef.session.archive/1"},
               {"changed", changed},
               {"dry_run", report.dry_run},
               {"sessions", sessions}});
}

std::string to_text(const DeleteReport& report) {
  std::string text;
  std::uint64_t removed = 0, messages = 0;
  for (const DeletedSession& session : report.sessions) {
    if (session.failure) continue;
    ++removed;
    messages += session.messages;
    if (!report.plan_only) continue;
    text += fmt::format("delete {} of {}: {}", printable(session.id), session.persona,
                        counted(session.messages, "message", "messages"));
    if (session.attachments > 0)
      text += fmt::format(", {}", counted(session.attachments, "attached file", "attached files"));
    if (!session.archive_file.empty()) text += fmt::format(", {}", printable(session.archive_file.native()));
    text += '\n';
  }
  return text + fmt::format("{} {}, {}\n", counted(removed, "session", "sessions"),
                            report.plan_only ? "to delete" : "deleted", counted(messages, "message", "messages"));
}

std::string to_json(const DeleteReport& report) {
  Json sessions = Json::array();
  for (const DeletedSession& session : report.sessions)
    sessions.push_back({{"session", session.id},
                        {"persona", session.persona},
                        {"messages", session.messages},
                        {"attachments", session.attachments},
                        {"archive_file", text_or_null(session.archive_file.native())},
                        {"failure", failure_json(session.failure)}});
  return dump({{"schema", "reef.session.delete/1"},
               {"changed", !report.plan_only && report.sessions.size() > report.failures()},
               {"dry_run", report.plan_only},
               {"sessions", sessions},
               {"not_found", report.not_found}});
}

std::string to_text(const VerifyReport& report) {
  if (report.faults.empty())
    return fmt::format("sound: {}, {}, {} archived\n", counted(report.sessions, "session", "sessions"),
                       counted(report.messages, "message", "messages"), format_count(report.archived));
  Table table({{"PLACE"}, {"FAULT"}, {"NEXT STEP"}});
  for (const VerifyFault& fault : report.faults) table.add({fault.place, fault.what, fault.next_step});
  return table.to_text();
}

std::string to_json(const VerifyReport& report) {
  Json faults = Json::array();
  for (const VerifyFault& fault : report.faults)
    faults.push_back({{"place", fault.place}, {"fault", fault.what}, {"next_step", fault.next_step}});
  Json skipped = Json::array();
  for (const VerifySkipped& one : report.skipped)
    skipped.push_back({{"persona", one.persona}, {"why", one.why}, {"next_step", one.next_step}});
  return dump({{"schema", "reef.session.verify/1"},
               {"ok", report.faults.empty()},
               {"sessions", report.sessions},
               {"messages", report.messages},
               {"archived", report.archived},
               {"faults", faults},
               {"skipped", skipped}});
}

}  // namespace reef::session
