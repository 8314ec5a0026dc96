#include <fmt/format.h>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/text.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/import.h"
#include "reef/model/internal/binding_report.h"
#include "reef/model/internal/tpu_report.h"
#include "reef/model/library.h"
#include "reef/model/make_manifest.h"
#include "reef/model/stream.h"
#include "reef/model/verify.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

/// Nothing where it says nothing.
std::string speed_of(std::uint64_t bytes, double seconds) {
  return seconds < 0.1 ? "" : fmt::format(" at {:.2f} GB/s", static_cast<double>(bytes) / seconds / 1e9);
}

Json files_of(const Manifest& manifest) {
  Json files = Json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", text_or_null(file.sha256)}});
  }
  return files;
}

/// "384 x 1536", and "scalar" for a tensor without dimensions.
std::string shape_of(const WeightTensor& tensor) {
  return tensor.shape.empty() ? "scalar" : fmt::format("{}", fmt::join(tensor.shape, " x "));
}

/// A chat template alone is some thousand characters.
constexpr std::size_t kMetadataWidth = 80;

/// What the files of weights say of themselves; shards say the same, so the first of them counts.
Json metadata_of(const ModelDetails& details) {
  Json metadata = Json::object();
  for (const WeightFile& file : details.weights) {
    for (const auto& [key, value] : file.metadata)
      if (!metadata.contains(key)) metadata[key] = to_valid_utf8(value);
  }
  return metadata;
}

std::string_view action_name(ImportAction action) {
  switch (action) {
    case ImportAction::create:
      return "create";
    case ImportAction::none:
      return "none";
    case ImportAction::repair:
      return "repair";
    case ImportAction::replace:
      break;
  }
  return "replace";
}

}  // namespace

std::string to_json(const ListEntry& entry, const std::vector<Binding>& bindings) {
  const Manifest& manifest = entry.manifest;
  return dump({{"schema", "reef.model.list/1"},
               {"name", entry.name},
               {"kind", kind_name(entry.kind)},
               {"path", entry.folder.string()},
               {"bytes", manifest.total_bytes()},
               {"files", manifest.files.size()},
               {"source", text_or_null(manifest.source)},
               {"licence", text_or_null(manifest.licence)},
               {"persona", text_or_null(manifest.persona)},
               {"personas", personas_of(bindings, manifest)},
               {"created", text_or_null(manifest.created)},
               {"archived", nullptr},
               {"fault", text_or_null(entry.fault)}});
}

std::string to_text(const ModelList& list) {
  if (list.entries.empty() && list.archived.empty())
    return "no models; 'reef-model import' or 'reef-model fetch' brings one\n";
  Table table(
      {{"NAME"}, {"KIND"}, {"PERSONA"}, {"SIZE", Align::right}, {"FILES", Align::right}, {"CREATED"}, {"SOURCE"}});
  for (const ListEntry& entry : list.entries) {
    const Manifest& manifest = entry.manifest;
    if (entry.fault.empty()) {
      table.add({entry.name, std::string(kind_name(entry.kind)), internal::owners(list.bindings, manifest),
                 format_size(manifest.total_bytes()), std::to_string(manifest.files.size()),
                 manifest.created.substr(0, 10), manifest.source});
    } else {
      table.add({entry.name, std::string(kind_name(entry.kind)), "", "", "", "", "fault: " + entry.fault});
    }
  }
  for (const ArchivedModel& archived : list.archived) {
    const Manifest& manifest = archived.manifest;
    const bool is_known = archived.fault.empty();
    table.add({archived.name, std::string(kind_name(archived.kind)),
               is_known ? internal::owners(list.bindings, manifest) : "",
               is_known ? format_size(manifest.total_bytes()) : "",
               is_known ? std::to_string(manifest.files.size()) : "", manifest.created.substr(0, 10),
               is_known ? "archived at " + io::shown(archived.place) : "archived, fault: " + archived.fault});
  }
  return table.to_text();
}

std::string to_json(const ModelDetails& details) {
  const Manifest& manifest = details.model.manifest;
  Json stacks = Json::array();
  for (const LayerStack& stack : details.stacks) stacks.push_back({{"prefix", stack.prefix}, {"layers", stack.count}});
  Json dtypes = Json::array();
  for (const DtypeTotal& total : details.dtypes) {
    dtypes.push_back(
        {{"dtype", total.dtype}, {"tensors", total.tensors}, {"parameters", total.elements}, {"bytes", total.bytes}});
  }
  Json json{{"schema", "reef.model.show/1"},
            {"name", manifest.name},
            {"kind", kind_name(manifest.kind)},
            {"path", details.model.folder.string()},
            {"archived", nullptr},
            {"source", text_or_null(manifest.source)},
            {"licence", text_or_null(manifest.licence)},
            {"persona", text_or_null(manifest.persona)},
            {"personas", personas_of(details.bindings, manifest)},
            {"missing", internal::bindings_json(details.missing)},
            {"created", text_or_null(manifest.created)},
            {"architecture", text_or_null(details.architecture)},
            {"quantization", text_or_null(details.quantization)},
            {"parameters", details.parameters},
            {"tensor_count", details.tensor_count()},
            {"unaligned_tensors", details.unaligned},
            {"stacks", std::move(stacks)},
            {"dtypes", std::move(dtypes)},
            {"metadata", metadata_of(details)},
            {"files", files_of(manifest)},
            {"total_bytes", manifest.total_bytes()}};
  if (details.tpu) json["tpu"] = internal::tpu_json(*details.tpu, details.segments);
  if (details.with_tensors) {
    Json& tensors = json["tensors"] = Json::array();
    for (const WeightFile& file : details.weights) {
      for (const WeightTensor& tensor : file.tensors) {
        tensors.push_back({{"name", tensor.name},
                           {"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"file", file.path},
                           {"begin", tensor.begin},
                           {"end", tensor.end}});
      }
    }
  }
  return dump(json);
}

std::string to_text(const ModelDetails& details) {
  const Manifest& manifest = details.model.manifest;
  Table facts({{""}, {""}});
  const auto fact = [&](const char* name, std::string value) {
    if (!value.empty()) facts.add({name, std::move(value)});
  };
  fact("name", manifest.name);
  fact("kind", std::string(kind_name(manifest.kind)));
  fact("path", io::shown(details.model.folder));
  fact("source", manifest.source);
  fact("licence", manifest.licence);
  fact("persona", internal::owners(details.bindings, manifest));
  for (const Binding& binding : details.bindings)
    if (binding.is_base) fact("base model", fmt::format("{} (of {})", binding.name, binding.persona));
  fact("created", manifest.created);
  fact("architecture", details.architecture);
  fact("quantisation", details.quantization);
  fact("parameters",
       fmt::format("{} in {}", format_count(details.parameters), counted(details.tensor_count(), "tensor")));
  for (const LayerStack& stack : details.stacks) {
    fact("layers", fmt::format("{} ({})", stack.count, stack.prefix));
  }
  for (const DtypeTotal& total : details.dtypes) {
    fact("dtype", fmt::format("{}: {}, {}", total.dtype, counted(total.tensors, "tensor"), format_size(total.bytes)));
  }
  if (details.tpu) fact("Edge TPU", internal::tpu_line(*details.tpu));
  if (details.unaligned > 0) fact("unaligned", counted(details.unaligned, "tensor"));
  std::string text = facts.to_text() + "\n";

  Table files({{"FILE"}, {"SIZE", Align::right}, {"SHA-256"}});
  for (const ManifestFile& file : manifest.files) files.add({file.path, format_size(file.bytes), file.sha256});
  text += files.to_text();
  Table metadata({{"METADATA"}, {"VALUE"}});
  const Json values = metadata_of(details);
  for (const auto& [key, value] : values.items())
    metadata.add({key, ellipsis(value.get<std::string>(), kMetadataWidth)});
  if (!metadata.empty()) text += "\n" + metadata.to_text();
  if (details.tpu) text += internal::tpu_tables(*details.tpu, details.segments);
  if (details.with_tensors) {
    Table tensors({{"TENSOR"}, {"DTYPE"}, {"SHAPE"}, {"SIZE", Align::right}, {"FILE"}});
    for (const WeightFile& file : details.weights) {
      for (const WeightTensor& tensor : file.tensors)
        tensors.add({tensor.name, tensor.dtype, shape_of(tensor), format_size(tensor.bytes()), file.path});
    }
    text += "\n" + tensors.to_text();
  }
  return text;
}

std::string to_json(const VerifyReport& report) {
  Json models = Json::array();
  for (const VerifiedModel& model : report.models) {
    Json faults = Json::array();
    for (const VerifyFault& fault : model.faults) {
      Json json{{"file", fault.file}, {"fault", fault.what}};
      if (fault.chunk) {
        json["chunk"] = fault.chunk->number;
        json["begin"] = fault.chunk->begin;
        json["end"] = fault.chunk->end;
        json["tensors"] = fault.chunk->tensors;
      }
      faults.push_back(std::move(json));
    }
    models.push_back({{"name", model.name},
                      {"kind", kind_name(model.kind)},
                      {"ok", model.faults.empty()},
                      {"files", model.files},
                      {"bytes", model.bytes},
                      {"bytes_earlier", model.bytes_earlier},
                      {"faults", std::move(faults)}});
  }
  return dump({{"schema", "reef.model.verify/1"},
               {"ok", report.faults() == 0},
               {"partial", report.is_partial},
               {"faults", report.faults()},
               {"bytes", report.bytes()},
               {"elapsed_seconds", report.seconds},
               {"models", std::move(models)},
               {"missing", internal::bindings_json(report.missing)}});
}

std::string to_text(const VerifyReport& report) {
  std::string text;
  for (const VerifiedModel& model : report.models) {
    for (const VerifyFault& fault : model.faults)
      text += printable(fmt::format("{}: {}", model.name, fault.text())) + "\n";
    if (model.faults.empty()) {
      text += fmt::format("{}: ok, {}, {}{}\n", model.name, counted(model.files, "file"), format_size(model.bytes),
                          model.bytes_earlier > 0 ? " and " + format_size(model.bytes_earlier) + " earlier" : "");
    }
  }
  for (const Binding& binding : report.missing)
    text += printable(fmt::format("{}, which is not there", binding.text())) + "\n";
  return text + fmt::format("{} verified{}, {}{}; {}\n", counted(report.models.size(), "model"),
                            report.is_partial ? " in part" : "", format_size(report.bytes()),
                            speed_of(report.bytes(), report.seconds), counted(report.faults(), "fault"));
}

std::string to_json(const StreamResult& result) {
  return dump({{"schema", "reef.model.stream/1"},
               {"name", result.name},
               {"output", result.output},
               {"content", result.is_of_segments ? "segments" : "tensors"},
               {result.is_of_segments ? "segments" : "tensors", result.items},
               {"bytes", result.bytes},
               {"unchecked_bytes", result.unchecked_bytes},
               {"frames", result.frames},
               {"stream_bytes", result.stream_bytes},
               {"elapsed_seconds", result.seconds}});
}

std::string to_text(const StreamResult& result) {
  return fmt::format("streamed {}: {}, {}{} in {}\n", result.name,
                     counted(result.items, result.is_of_segments ? "segment" : "tensor"), format_size(result.bytes),
                     speed_of(result.bytes, result.seconds), counted(result.frames, "frame"));
}

std::string to_json(const ImportResult& result) {
  const Manifest& manifest = result.manifest;
  const bool changed = !result.dry_run && (result.action != ImportAction::none || result.binds);
  return dump({{"schema", "reef.model.import/1"},
               {"name", manifest.name},
               {"kind", kind_name(manifest.kind)},
               {"path", result.folder.string()},
               {"action", action_name(result.action)},
               {"changed", changed},
               {"dry_run", result.dry_run},
               {"source", text_or_null(manifest.source)},
               {"licence", text_or_null(manifest.licence)},
               {"persona", text_or_null(manifest.persona)},
               {"bound", result.binds},
               {"unaligned_tensors", result.unaligned},
               {"files", files_of(manifest)},
               {"total_bytes", manifest.total_bytes()}});
}

std::string to_text(const ImportResult& result) {
  const Manifest& manifest = result.manifest;
  const std::string bound = !result.binds ? ""
                            : result.dry_run
                                ? fmt::format("{} to be bound to {}\n", manifest.name, result.persona)
                                : fmt::format("bound {} to {} in personas.yaml\n", manifest.name, result.persona);
  if (result.action == ImportAction::none) {
    return fmt::format("{}{} is in {}\n", bound.empty() ? "already so; " : "the same model is there; ", manifest.name,
                       io::shown(result.folder)) +
           bound;
  }
  const std::string what =
      fmt::format("{}, {}", counted(manifest.files.size(), "file"), format_size(manifest.total_bytes()));
  if (result.dry_run) {
    Table table({{""}, {"", Align::right}});
    for (const ManifestFile& file : manifest.files) table.add({file.path, format_size(file.bytes)});
    return table.to_text() + bound +
           fmt::format("{} to {}: {}, nothing done (dry run)\n", action_name(result.action), io::shown(result.folder),
                       what);
  }
  const char* verb = result.action == ImportAction::create   ? "imported"
                     : result.action == ImportAction::repair ? "repaired"
                                                             : "replaced";
  return fmt::format("{} {}: {} in {}\n", verb, manifest.name, what, io::shown(result.folder)) + bound;
}

std::string to_json(const MadeManifest& made) {
  return dump({{"schema", "reef.model.manifest/1"},
               {"name", made.manifest.name},
               {"kind", kind_name(made.manifest.kind)},
               {"path", made.folder.string()},
               {"changed", made.has_changed},
               {"files", files_of(made.manifest)},
               {"total_bytes", made.manifest.total_bytes()}});
}

std::string to_text(const MadeManifest& made) {
  if (!made.has_changed) return fmt::format("already so; {} has its manifest\n", made.manifest.name);
  return fmt::format("wrote {}: {}, {}\n", io::shown(made.folder / kManifestFile),
                     counted(made.manifest.files.size(), "file"), format_size(made.manifest.total_bytes()));
}

std::string to_json(const SignedManifest& signed_manifest) {
  return dump({{"schema", "reef.model.sign/1"},
               {"name", signed_manifest.name},
               {"signature", signed_manifest.signature.string()},
               {"changed", signed_manifest.has_changed}});
}

std::string to_text(const SignedManifest& signed_manifest) {
  if (!signed_manifest.has_changed) return fmt::format("already so; {} is signed\n", signed_manifest.name);
  return fmt::format("wrote {}\n", io::shown(signed_manifest.signature));
}

}  // namespace reef::model
