#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/persona/survey.h"
#include "reef/session/store.h"

namespace reef::persona {
namespace {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::string& time) { return time.empty() ? Json(nullptr) : Json(session::rfc3339_of(time)); }

Json survey_json(const Survey& survey) {
  Json missing = Json::array();
  for (const tree::MissingStore& store : survey.missing)
    missing.push_back({{"scope", store.scope}, {"shard", text_or_null(store.shard)}, {"folder", store.folder}});
  return {{"id", survey.id},
          {"name", text_or_null(survey.name)},
          {"base", text_or_null(survey.base)},
          {"created", text_or_null(survey.created)},
          {"listed", survey.is_listed},
          {"documents",
           {{"files", survey.files},
            {"documents", survey.documents},
            {"chunks", survey.chunks},
            {"bytes", survey.original_bytes}}},
          {"vectors", {{"chunks", survey.vectors}, {"turns", survey.turns}, {"bytes", survey.vector_bytes}}},
          {"conversations",
           {{"sessions", survey.sessions},
            {"messages", survey.messages},
            {"archived", survey.archived},
            {"pending", survey.pending},
            {"bytes", survey.content_bytes}}},
          {"memories", {{"memories", survey.memories}, {"bytes", survey.memory_bytes}}},
          {"last_activity", time_or_null(survey.last_activity)},
          {"missing", std::move(missing)},
          {"unreadable", survey.unreadable}};
}

std::string with_size(std::uint64_t count, std::uint64_t bytes) {
  return count == 0 ? "-" : fmt::format("{} ({})", format_count(count), format_size(bytes));
}

/// What is wrong with it, a line each.
std::string faults_text(const Survey& survey) {
  std::string text;
  for (const tree::MissingStore& store : survey.missing)
    text += fmt::format("{}: {} ({})\n", survey.id, store.what, store.hint);
  for (const std::string& file : survey.unreadable) text += fmt::format("{}: {}\n", survey.id, file);
  return text;
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

}  // namespace

std::string to_json(const std::vector<Survey>& personas) {
  std::string lines;
  for (const Survey& survey : personas) {
    Json line{{"schema", "reef.persona.list/1"}};
    line.update(survey_json(survey));
    if (!lines.empty()) lines += '\n';
    lines += dump(line);
  }
  return lines;
}

std::string to_text(const std::vector<Survey>& personas) {
  Table table({{"id"},
               {"name"},
               {"base"},
               {"documents", Align::right},
               {"vectors", Align::right},
               {"messages", Align::right},
               {"memories", Align::right},
               {"last activity"}});
  std::string faults;
  for (const Survey& survey : personas) {
    table.add({survey.id, survey.is_listed ? survey.name : "(not in personas.yaml)", survey.base,
               with_size(survey.documents, survey.original_bytes),
               with_size(survey.vectors + survey.turns, survey.vector_bytes),
               with_size(survey.messages, survey.content_bytes), with_size(survey.memories, survey.memory_bytes),
               survey.last_activity.substr(0, 16)});
    faults += faults_text(survey);
  }
  return table.to_text() + faults;
}

std::string to_json(const Details& details) {
  Json json{{"schema", "reef.persona.show/1"}};
  json.update(survey_json(details.survey));
  Json configuration = Json::object();
  for (const auto& [key, value] : details.configuration)
    configuration[key] = {{"value", value.items.empty() ? Json(value.text) : Json(value.items)},
                          {"origin", value.origin}};
  json["configuration"] = std::move(configuration);
  Json adapters = Json::array();
  for (const AdapterUse& adapter : details.adapters)
    adapters.push_back({{"name", adapter.name},
                        {"folder", text_or_null(adapter.folder.string())},
                        {"sha256", text_or_null(adapter.digest)},
                        {"bytes", adapter.bytes},
                        {"others", adapter.others}});
  json["adapters"] = std::move(adapters);
  Json places = Json::array();
  for (const StorePlace& place : details.places)
    places.push_back({{"store", place.what},
                      {"path", place.path.string()},
                      {"target", text_or_null(place.target.string())},
                      {"shard", text_or_null(place.shard)},
                      {"shared", !place.shared_with.empty()}});
  json["stores"] = std::move(places);
  json["pending_change"] =
      details.pending.empty() ? Json(nullptr) : Json(tree::kind_name(details.pending.front().kind));
  return dump(json);
}

std::string to_text(const Details& details) {
  const Survey& survey = details.survey;
  Table facts({{""}, {""}});
  facts.add({"id", survey.id});
  if (!survey.is_listed) facts.add({"configuration", "not in personas.yaml: there is only data of it"});
  for (const auto& [key, value] : details.configuration)
    if (!value.text.empty() || !value.items.empty())
      facts.add({key, fmt::format("{}  ({})", value.items.empty() ? value.text : joined(value.items), value.origin)});
  facts.add({"documents",
             fmt::format("{} of {}, {}, in {}", counted(survey.documents, "document"), counted(survey.files, "file"),
                         format_size(survey.original_bytes), counted(survey.chunks, "chunk"))});
  facts.add({"vectors", fmt::format("{} of chunks, {} of messages, {}", format_count(survey.vectors),
                                    format_count(survey.turns), format_size(survey.vector_bytes))});
  std::string conversations = fmt::format("{} in {}, {}", counted(survey.messages, "message"),
                                          counted(survey.sessions, "session"), format_size(survey.content_bytes));
  if (survey.archived > 0) conversations += fmt::format(", {} archived", format_count(survey.archived));
  if (survey.pending > 0) conversations += fmt::format(", {} to be embedded", format_count(survey.pending));
  facts.add({"conversations", conversations});
  facts.add({"memories",
             fmt::format("{}, {}", counted(survey.memories, "memory", "memories"), format_size(survey.memory_bytes))});
  facts.add({"last activity", survey.last_activity.empty() ? "none" : survey.last_activity.substr(0, 19) + " UTC"});
  std::string text = facts.to_text();
  Table places({{"store"}, {"lies at"}, {""}});
  for (const StorePlace& place : details.places)
    places.add({place.what, io::shown(place.target.empty() ? place.path : place.target),
                !place.shard.empty()         ? "shard " + place.shard
                : !place.shared_with.empty() ? "of " + place.shared_with
                : !place.target.empty()      ? "by a link"
                                             : ""});
  text += "\n" + places.to_text();
  if (!details.adapters.empty()) {
    Table adapters({{"adapter"}, {"size", Align::right}, {"sha256 of its manifest"}, {"also of"}});
    constexpr std::size_t kShort = 16;
    for (const AdapterUse& adapter : details.adapters)
      adapters.add({adapter.name, adapter.folder.empty() ? "not there" : format_size(adapter.bytes),
                    adapter.digest.substr(0, kShort), joined(adapter.others)});
    text += "\n" + adapters.to_text();
  }
  const std::string faults = faults_text(survey);
  if (!faults.empty()) text += "\n" + faults;
  for (const tree::PersonaChange& change : details.pending)
    text += fmt::format("\na run that was to {} it did not end: the next rename, remove or import finishes it\n",
                        tree::kind_name(change.kind));
  return text;
}

}  // namespace reef::persona
