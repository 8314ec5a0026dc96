#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/memory/forget.h"
#include "reef/memory/remember.h"
#include "reef/memory/state.h"
#include "reef/memory/store.h"
#include "reef/memory/verify.h"

namespace reef::memory {
namespace {

using Json = nlohmann::ordered_json;

Json id_or_null(std::int64_t id) { return id == 0 ? Json(nullptr) : Json(shown_id(id)); }

const char* outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::added:
      return "added";
    case Outcome::merged:
      return "merged";
    case Outcome::updated:
      return "updated";
    case Outcome::forgotten:
      return "forgotten";
  }
  return "";
}

}  // namespace

std::string to_json(const EmotionalState& state) {
  Json evidence = Json::array();
  for (const Feeling& feeling : state.evidence)
    evidence.push_back({{"memory", shown_id(feeling.memory)},
                        {"valence", rounded(feeling.valence)},
                        {"arousal", rounded(feeling.arousal)},
                        {"weight", rounded(feeling.weight)},
                        {"created", to_rfc3339(feeling.created)}});
  return dump(Json{{"schema", "reef.memory.state/1"},
                   {"persona", state.persona},
                   {"valence", rounded(state.valence)},
                   {"arousal", rounded(state.arousal)},
                   {"memories", state.memories},
                   {"as_of", state.as_of ? Json(to_rfc3339(*state.as_of)) : Json(nullptr)},
                   {"evidence", std::move(evidence)}});
}

std::string to_text(const EmotionalState& state) {
  if (state.memories == 0) return fmt::format("{}: no memory says how it feels\n", state.persona);
  std::string text = fmt::format("{}: valence {:+.2f}, arousal {:.2f}, from {} {}, the newest of {}\n", state.persona,
                                 state.valence, state.arousal, format_count(state.memories),
                                 state.memories == 1 ? "memory" : "memories", to_rfc3339(*state.as_of));
  Table table(
      {{"memory"}, {"valence", Align::right}, {"arousal", Align::right}, {"weight", Align::right}, {"created"}});
  for (const Feeling& feeling : state.evidence)
    table.add({shown_id(feeling.memory), fmt::format("{:+.2f}", feeling.valence),
               fmt::format("{:.2f}", feeling.arousal), fmt::format("{:.3f}", feeling.weight),
               to_rfc3339(feeling.created)});
  return text + table.to_text();
}

std::string to_text(const RememberReport& report) {
  const Remembered& result = report.result;
  const std::string id = shown_id(result.id);
  if (result.outcome == Outcome::merged)
    return result.changed ? fmt::format("{}: {} said the same, and is kept\n", report.persona, id)
                          : fmt::format("already so; {} says the same\n", id);
  std::string text = fmt::format("{}: {} added", report.persona, id);
  if (result.superseded > 0) text += fmt::format(", {} is superseded", shown_id(result.superseded));
  if (result.superseded_by > 0) text += fmt::format(", {} is newer", shown_id(result.superseded_by));
  return text + "\n";
}

std::string to_json(const RememberReport& report) {
  return dump(Json{{"schema", "reef.memory.remember/1"},
                   {"persona", report.persona},
                   {"changed", report.result.changed},
                   {"outcome", outcome_name(report.result.outcome)},
                   {"id", id_or_null(report.result.id)},
                   {"superseded", id_or_null(report.result.superseded)},
                   {"superseded_by", id_or_null(report.result.superseded_by)},
                   {"vector", report.has_vector}});
}

std::string to_text(const ExportReport& report) {
  std::string text =
      fmt::format("{}: {}, {} written", report.persona, counted(report.written.memories, "memory", "memories"),
                  counted(report.written.files.size(), "file", "files"));
  if (report.embedded > 0) text += fmt::format(", {} embedded", format_count(report.embedded));
  if (!report.to.empty()) text += fmt::format("; copied to {}", report.to);
  return text + "\n";
}

std::string to_json(const ExportReport& report) {
  return dump(Json{{"schema", "reef.memory.export/1"},
                   {"persona", report.persona},
                   {"memories", report.written.memories},
                   {"vectors", report.written.vectors},
                   {"embedded", report.embedded},
                   {"files", report.written.files},
                   {"to", report.to.empty() ? Json(nullptr) : Json(report.to)}});
}

std::string to_text(const ForgetReport& report) {
  constexpr std::size_t kShown = 60;
  if (report.is_empty()) return fmt::format("already so; {} remembers nothing of it\n", report.persona);
  std::string text;
  if (report.is_plan) {
    Table table({{""}, {""}});
    for (const ForgottenMemory& memory : report.memories)
      table.add({shown_id(memory.id), ellipsis(memory.content, kShown)});
    for (const TouchedSession& session : report.sessions) {
      std::string what =
          fmt::format("{} of its {} {}", format_count(session.messages), counted(session.of, "message", "messages"),
                      report.with_source ? "removed" : "not to be learned from again");
      if (report.with_source && session.messages == session.of) what += ", and the session itself";
      if (report.with_source && !session.archive_file.empty())
        what += fmt::format("; archived texts stay in {}", session.archive_file);
      table.add({"session " + session.id, what});
    }
    for (const std::string& session : report.titled) table.add({"session " + session, "its title and summary removed"});
    for (const std::string& session : report.summarised)
      table.add({"session " + session, "the summary by a language model removed"});
    text = table.to_text();
  }
  text += fmt::format("{}: {} {}forgotten", report.persona, counted(report.memories.size(), "memory", "memories"),
                      report.is_plan ? "to be " : "");
  if (!report.messages.empty())
    text += fmt::format(", {} {}", counted(report.messages.size(), "message", "messages"),
                        report.with_source ? "removed" : "not to be learned from again");
  if (!report.titled.empty())
    text += fmt::format(", {} removed", counted(report.titled.size(), "title or summary", "titles or summaries"));
  for (const std::int64_t id : report.not_found) text += fmt::format("; there is no {}", shown_id(id));
  return text + (report.dry_run ? " (dry run)\n" : "\n");
}

std::string to_json(const ForgetReport& report) {
  Json memories = Json::array(), sessions = Json::array(), not_found = Json::array();
  for (const ForgottenMemory& memory : report.memories) {
    Json one = {{"id", shown_id(memory.id)}};
    if (report.dry_run) one["content"] = memory.content;  // what is forgotten is not told once more
    memories.push_back(std::move(one));
  }
  for (const TouchedSession& session : report.sessions)
    sessions.push_back({{"session", session.id},
                        {"messages", session.messages},
                        {"of", session.of},
                        {"archive", session.archive_file.empty() ? Json(nullptr) : Json(session.archive_file)}});
  for (const std::int64_t id : report.not_found) not_found.push_back(shown_id(id));
  return dump(Json{{"schema", "reef.memory.forget/1"},
                   {"persona", report.persona},
                   {"dry_run", report.dry_run},
                   {"changed", !report.dry_run && !report.is_empty()},
                   {"with_source", report.with_source},
                   {"memories", std::move(memories)},
                   {"messages", report.messages.size()},
                   {"sessions", std::move(sessions)},
                   {"titles", report.titled},
                   {"summaries", report.summarised},
                   {"not_found", std::move(not_found)},
                   {"words_purged", report.words_purged}});
}

std::string to_text(const VerifyReport& report) {
  if (report.faults.empty())
    return fmt::format("{} and {} of {} are sound\n", counted(report.memories, "memory", "memories"),
                       counted(report.vectors, "vector", "vectors"),
                       counted(report.personas.size(), "persona", "personas"));
  std::string text;
  for (const VerifyFault& fault : report.faults)
    text += fmt::format("{}: {}: {} ({})\n", fault.persona, fault.file, fault.what, fault.next_step);
  return text + fmt::format("{}\n", counted(report.faults.size(), "fault", "faults"));
}

std::string to_json(const VerifyReport& report) {
  Json faults = Json::array();
  for (const VerifyFault& fault : report.faults)
    faults.push_back({{"persona", fault.persona},
                      {"file", fault.file},
                      {"fault", fault.what},
                      {"next_step", fault.next_step},
                      {"mends_itself", fault.mends_itself}});
  return dump(Json{{"schema", "reef.memory.verify/1"},
                   {"personas", report.personas},
                   {"memories", report.memories},
                   {"vectors", report.vectors},
                   {"faults", std::move(faults)}});
}

}  // namespace reef::memory
