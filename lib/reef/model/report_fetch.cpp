#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/archive.h"
#include "reef/model/archived.h"
#include "reef/model/fetch.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

std::string_view action_name(FetchAction action) {
  switch (action) {
    case FetchAction::none:
      return "none";
    case FetchAction::create:
      return "create";
    case FetchAction::replace:
      return "replace";
    case FetchAction::left:
      break;
  }
  return "left";
}

Json place_of(const ArchivedModel& archived) {
  return {{"path", archived.place.string()}, {"since", text_or_null(archived.since)}};
}

Json failure_of(const std::optional<Error>& failure) { return failure ? Json(failure->what()) : Json(nullptr); }

std::string line_of(const FetchedModel& model, bool dry_run) {
  if (model.failure) return {};  // said on standard error
  switch (model.action) {
    case FetchAction::none:
      return fmt::format("already so; {} is in {}\n", model.name, io::shown(model.folder));
    case FetchAction::left:
      return fmt::format("{} is archived at {}; 'reef-model fetch {}' brings it back\n", model.name,
                         io::shown(model.folder), model.name);
    default:
      break;
  }
  const std::string from = io::shown(model.source);
  if (dry_run) return fmt::format("{} {} from {}\n", action_name(model.action), model.name, from);
  const std::string earlier =
      model.earlier_bytes > 0 ? fmt::format(", {} of them by an earlier run", format_size(model.earlier_bytes)) : "";
  return fmt::format("{} {} from {}: {}{} in {}\n", model.action == FetchAction::create ? "fetched" : "replaced",
                     model.name, from, format_size(model.bytes), earlier, io::shown(model.folder));
}

}  // namespace

std::string to_json(const FetchResult& result) {
  Json models = Json::array();
  bool changed = false;
  for (const FetchedModel& model : result.models) {
    changed = changed || (model.has_changed() && !result.dry_run);
    models.push_back({{"name", model.name},
                      {"kind", model.kind ? Json(kind_name(*model.kind)) : Json(nullptr)},
                      {"action", action_name(model.action)},
                      {"source", text_or_null(model.source)},
                      {"path", text_or_null(model.folder.string())},
                      {"bytes", model.bytes},
                      {"received_bytes", model.received_bytes},
                      {"earlier_bytes", model.earlier_bytes},
                      {"failure", failure_of(model.failure)}});
  }
  return dump({{"schema", "reef.model.fetch/1"},
               {"changed", changed},
               {"dry_run", result.dry_run},
               {"failures", result.failures()},
               {"models", std::move(models)}});
}

std::string to_text(const FetchResult& result) {
  if (result.models.empty()) return "already so; models.yaml names no model\n";
  std::string text;
  for (const FetchedModel& model : result.models) text += line_of(model, result.dry_run);
  return text + (result.dry_run ? "nothing done (dry run)\n" : "");
}

std::string to_json(const ArchiveResult& result) {
  Json models = Json::array();
  bool changed = false;
  for (const ArchivedNow& model : result.models) {
    changed = changed || model.has_changed;
    models.push_back({{"name", model.name},
                      {"kind", kind_name(model.kind)},
                      {"changed", model.has_changed},
                      {"path", text_or_null(model.place.string())},
                      {"bytes", model.bytes},
                      {"failure", failure_of(model.failure)}});
  }
  return dump({{"schema", "reef.model.archive/1"},
               {"changed", changed},
               {"dry_run", result.dry_run},
               {"failures", result.failures()},
               {"models", std::move(models)}});
}

std::string to_text(const ArchiveResult& result) {
  std::string text;
  for (const ArchivedNow& model : result.models) {
    if (model.failure) continue;  // said on standard error
    const std::string place = io::shown(model.place);
    if (model.is_planned) {
      text += fmt::format("archive {}: {} to {}{}\n", model.name, format_size(model.bytes), place,
                          model.was_there ? ", which has it already" : "");
    } else if (model.has_changed) {
      text += fmt::format("archived {}: {} {} {}\n", model.name, format_size(model.bytes),
                          model.was_there ? "were already in" : "in", place);
    } else {
      text += fmt::format("already so; {} is archived at {}\n", model.name, place);
    }
  }
  return text + (result.dry_run ? "nothing done (dry run)\n" : "");
}

std::string to_json(const ArchivedModel& archived) {
  const Manifest& manifest = archived.manifest;
  return dump({{"schema", "reef.model.list/1"},
               {"name", archived.name},
               {"kind", kind_name(archived.kind)},
               {"path", nullptr},
               {"bytes", manifest.total_bytes()},
               {"files", manifest.files.size()},
               {"source", text_or_null(manifest.source)},
               {"licence", text_or_null(manifest.licence)},
               {"persona", text_or_null(manifest.persona)},
               {"created", text_or_null(manifest.created)},
               {"archived", place_of(archived)},
               {"fault", text_or_null(archived.fault)}});
}

std::string to_json(const ArchivedDetails& details) {
  const ArchivedModel& archived = details.model;
  const Manifest& manifest = archived.manifest;
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files)
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return dump({{"schema", "reef.model.show/1"},
               {"name", archived.name},
               {"kind", kind_name(archived.kind)},
               {"path", nullptr},
               {"archived", place_of(archived)},
               {"source", text_or_null(manifest.source)},
               {"licence", text_or_null(manifest.licence)},
               {"persona", text_or_null(manifest.persona)},
               {"created", text_or_null(manifest.created)},
               {"fault", text_or_null(archived.fault)},
               {"files", std::move(files)},
               {"total_bytes", manifest.total_bytes()}});
}

std::string to_text(const ArchivedDetails& details) {
  const ArchivedModel& archived = details.model;
  const Manifest& manifest = archived.manifest;
  Table facts({{""}, {""}});
  const auto fact = [&](const char* name, std::string value) {
    if (!value.empty()) facts.add({name, std::move(value)});
  };
  fact("name", archived.name);
  fact("kind", std::string(kind_name(archived.kind)));
  fact("archived", io::shown(archived.place));
  fact("since", archived.since);
  fact("source", manifest.source);
  fact("licence", manifest.licence);
  fact("persona", manifest.persona);
  fact("created", manifest.created);
  fact("fault", archived.fault);
  Table files({{"FILE"}, {"SIZE", Align::right}, {"SHA-256"}});
  for (const ManifestFile& file : manifest.files) files.add({file.path, format_size(file.bytes), file.sha256});
  return facts.to_text() + "\n" + files.to_text();
}

}  // namespace reef::model
