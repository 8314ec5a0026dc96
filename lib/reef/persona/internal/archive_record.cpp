#include "reef/persona/internal/archive_record.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/core/json.h"
#include "reef/tree/persona.h"

namespace reef::persona::internal {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::string_view kFamily = "reef.persona.archive/";

std::string text_at(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

std::string record_text(const ArchiveRecord& record) {
  Json models = Json::array();
  for (const StoreModel& model : record.models)
    models.push_back({{"store", model.store}, {"model", model.model}, {"digest", model.digest}});
  Json counts = Json::object();
  for (const auto& [table, rows] : record.counts) counts[table] = rows;
  const Json json{{"schema", std::string(kFamily) + "1"},
                  {"persona", record.persona},
                  {"created", record.created},
                  {"section",
                   {{"name", record.section.name},
                    {"base", record.section.base},
                    {"adapters", record.section.adapters},
                    {"created", record.section.created}}},
                  {"models", std::move(models)},
                  {"counts", std::move(counts)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

ArchiveRecord parse_record(std::string_view text, const std::string& file) {
  const auto refuse = [&](const char* what) {
    throw Error(Errc::corrupt, fmt::format("{}: {} {}", file, kRecordFile, what), "export the persona again");
  };
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) refuse("is no JSON object");
  const std::string schema = text_at(json, "schema");
  if (!schema.starts_with(kFamily)) refuse("is not of an archive of a persona");
  if (schema != std::string(kFamily) + "1")
    throw Error(Errc::usage, fmt::format("{} is of a newer version ({})", file, schema),
                "use the version of reef that wrote it, or a newer one");
  ArchiveRecord record;
  record.persona = text_at(json, "persona");
  if (!tree::is_persona_id(record.persona)) refuse("names no persona");
  record.created = text_at(json, "created");
  if (const auto section = json.find("section"); section != json.end() && section->is_object()) {
    record.section.name = text_at(*section, "name");
    record.section.base = text_at(*section, "base");
    record.section.created = text_at(*section, "created");
    if (const auto adapters = section->find("adapters"); adapters != section->end() && adapters->is_array())
      for (const Json& adapter : *adapters)
        if (adapter.is_string()) record.section.adapters.push_back(adapter.get<std::string>());
  }
  if (const auto models = json.find("models"); models != json.end() && models->is_array())
    for (const Json& model : *models)
      if (model.is_object())
        record.models.push_back({text_at(model, "store"), text_at(model, "model"), text_at(model, "digest")});
  if (const auto counts = json.find("counts"); counts != json.end() && counts->is_object())
    for (const auto& [table, rows] : counts->items())
      if (rows.is_number_unsigned()) record.counts.emplace_back(table, rows.get<std::uint64_t>());
  return record;
}

}  // namespace reef::persona::internal
