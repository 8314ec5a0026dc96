#include <fmt/format.h>

#include <algorithm>

#include "reef/core/json.h"
#include "reef/core/table.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/diff.h"
#include "reef/model/duplicates.h"
#include "reef/model/extract.h"

namespace reef::model {
namespace {

using Json = nlohmann::ordered_json;

/// "384 x 1536", and "scalar" for a tensor without dimensions.
std::string shape_text(const std::vector<std::uint64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, " x "));
}

Json form_json(const std::optional<TensorForm>& form) {
  if (!form) return nullptr;
  return {{"dtype", form->dtype}, {"shape", form->shape}, {"bytes", form->bytes}};
}

std::string form_text(const std::optional<TensorForm>& form) {
  return form ? fmt::format("{} {}", form->dtype, shape_text(form->shape)) : "";
}

template <typename T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string_view kind_word(DifferenceKind kind) {
  switch (kind) {
    case DifferenceKind::only_in_a:
      return "only_in_a";
    case DifferenceKind::only_in_b:
      return "only_in_b";
    case DifferenceKind::form:
      return "form";
    case DifferenceKind::content:
      break;
  }
  return "content";
}

/// "3 of 12 elements, at most 0.5 apart"
std::string content_text(const TensorDifference& tensor) {
  if (!tensor.differing_elements)
    return fmt::format("{} of {} bytes", format_count(tensor.differing_bytes), format_count(tensor.a->bytes));
  std::string text =
      fmt::format("{} of {} elements", format_count(*tensor.differing_elements), format_count(tensor.a->elements));
  if (tensor.largest_difference) text += fmt::format(", at most {:.6g} apart", *tensor.largest_difference);
  if (tensor.nonfinite_elements > 0)
    text += fmt::format(", {} infinite or no number", format_count(tensor.nonfinite_elements));
  return text;
}

}  // namespace

std::string to_json(const ExtractedTensor& extracted) {
  return dump({{"schema", "reef.model.extract/1"},
               {"name", extracted.model},
               {"file", extracted.file},
               {"tensor", extracted.tensor},
               {"slice", text_or_null(extracted.slice)},
               {"dtype", extracted.dtype},
               {"tensor_shape", extracted.tensor_shape},
               {"shape", extracted.shape},
               {"output", extracted.output.string()},
               {"format", extracted.npy_type.empty() ? "raw" : "npy"},
               {"npy_type", text_or_null(extracted.npy_type)},
               {"converted_to", text_or_null(extracted.conversion)},
               {"bytes_read", extracted.bytes_read},
               {"bytes_written", extracted.bytes_written}});
}

std::string to_text(const ExtractedTensor& extracted) {
  std::string as;
  if (extracted.conversion == "float32") as = " as float32 (exact)";
  if (extracted.conversion == "uint8") as = " as uint8, the bytes as they are";
  return printable(fmt::format("wrote {}: {}{}, {} {}{}, {}", io::shown(extracted.output), extracted.tensor,
                               extracted.slice, extracted.dtype, shape_text(extracted.shape), as,
                               format_size(extracted.bytes_written))) +
         "\n";
}

std::string to_json(const ModelDiff& diff) {
  Json tensors = Json::array(), metadata = Json::array(), files = Json::array();
  for (const TensorDifference& tensor : diff.tensors) {
    Json json{{"name", tensor.name},
              {"difference", kind_word(tensor.kind)},
              {"a", form_json(tensor.a)},
              {"b", form_json(tensor.b)}};
    if (tensor.kind == DifferenceKind::content) {
      json["differing_bytes"] = tensor.differing_bytes;
      json["differing_elements"] = value_or_null(tensor.differing_elements);
      json["nonfinite_elements"] = tensor.nonfinite_elements;
      json["largest_difference"] = value_or_null(tensor.largest_difference);
    }
    tensors.push_back(std::move(json));
  }
  for (const MetadataDifference& entry : diff.metadata)
    metadata.push_back({{"key", entry.key}, {"a", value_or_null(entry.a)}, {"b", value_or_null(entry.b)}});
  for (const FileDifference& file : diff.files)
    files.push_back({{"path", file.path}, {"difference", kind_word(file.kind)}});
  return dump({{"schema", "reef.model.diff/1"},
               {"a", diff.a},
               {"b", diff.b},
               {"identical", diff.is_identical()},
               {"identical_tensors", diff.identical_tensors},
               {"identical_bytes", diff.identical_bytes},
               {"bytes_read", diff.bytes_read},
               {"tensors", std::move(tensors)},
               {"metadata", std::move(metadata)},
               {"files", std::move(files)}});
}

std::string to_text(const ModelDiff& diff) {
  const std::string same =
      fmt::format("{} ({})", counted(diff.identical_tensors, "identical tensor"), format_size(diff.identical_bytes));
  if (diff.is_identical()) return fmt::format("{} and {} are the same: {}\n", diff.a, diff.b, same);
  const auto where = [&](DifferenceKind kind) {
    return fmt::format("only in {}", kind == DifferenceKind::only_in_a ? diff.a : diff.b);
  };
  Table table({{""}, {""}, {""}});
  for (const TensorDifference& tensor : diff.tensors) {
    switch (tensor.kind) {
      case DifferenceKind::only_in_a:
      case DifferenceKind::only_in_b:
        table.add({"tensor", tensor.name,
                   fmt::format("{}: {}", where(tensor.kind), form_text(tensor.a ? tensor.a : tensor.b))});
        break;
      case DifferenceKind::form:
        table.add({"tensor", tensor.name, fmt::format("{} -> {}", form_text(tensor.a), form_text(tensor.b))});
        break;
      case DifferenceKind::content:
        table.add({"tensor", tensor.name, content_text(tensor)});
    }
  }
  constexpr std::size_t kShownCells = 40;  // a chat template has pages; --json has all of it
  const auto brief = [&](const std::optional<std::string>& value) {
    return ellipsis(value.value_or("none"), kShownCells);
  };
  for (const MetadataDifference& entry : diff.metadata)
    table.add({"metadata", entry.key, fmt::format("{} -> {}", brief(entry.a), brief(entry.b))});
  for (const FileDifference& file : diff.files)
    table.add({"file", file.path, file.kind == DifferenceKind::content ? "differs" : where(file.kind)});
  return table.to_text() + fmt::format("{}; different: {}, {}, {}\n", same, counted(diff.tensors.size(), "tensor"),
                                       counted(diff.metadata.size(), "metadata key"),
                                       counted(diff.files.size(), "other file"));
}

namespace {

Json group_json(const DuplicateGroup& group) {
  Json copies = Json::array();
  const bool is_tensor = !group.dtype.empty();
  for (const DuplicateCopy& copy : group.copies) {
    Json json{{"model", copy.model},
              {"kind", kind_name(copy.kind)},
              {"persona", copy.personas.empty() ? Json(nullptr) : Json(copy.personas.front())},
              {"personas", copy.personas},
              {"file", copy.file}};
    if (is_tensor) json["tensor"] = copy.tensor;
    copies.push_back(std::move(json));
  }
  Json json{{"sha256", group.sha256}, {"bytes", group.bytes}, {"saved_bytes", group.saved_bytes}};
  if (is_tensor) {
    json["dtype"] = group.dtype;
    json["shape"] = group.shape;
  }
  json["copies"] = std::move(copies);
  return json;
}

/// "base, alice-lora (alice) and 3 more"
std::string holders(const DuplicateGroup& group) {
  constexpr std::size_t kNamed = 3;
  std::vector<std::string> names;
  for (const DuplicateCopy& copy : group.copies) {
    std::string name =
        copy.personas.empty() ? copy.model : fmt::format("{} ({})", copy.model, fmt::join(copy.personas, ", "));
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  if (names.size() <= kNamed) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kNamed, ", "), names.size() - kNamed);
}

}  // namespace

std::string to_json(const DuplicatesReport& report) {
  Json files = Json::array(), tensors = Json::array(), skipped = Json::array();
  for (const DuplicateGroup& group : report.file_groups) files.push_back(group_json(group));
  for (const DuplicateGroup& group : report.tensor_groups) tensors.push_back(group_json(group));
  for (const SkippedModel& model : report.skipped)
    skipped.push_back({{"name", model.name}, {"kind", kind_name(model.kind)}, {"fault", model.why}});
  return dump({{"schema", "reef.model.duplicates/1"},
               {"models", report.models},
               {"tensor_count", report.tensors},
               {"min_bytes", report.min_bytes},
               {"bytes_read", report.bytes_read},
               {"saved_bytes", report.saved_bytes()},
               {"files", std::move(files)},
               {"tensors", std::move(tensors)},
               {"skipped", std::move(skipped)}});
}

std::string to_text(const DuplicatesReport& report) {
  Table table({{"SAVED", Align::right}, {"SIZE", Align::right}, {"COPIES", Align::right}, {"WHAT"}, {"IN"}});
  for (const auto* groups : {&report.file_groups, &report.tensor_groups}) {
    for (const DuplicateGroup& group : *groups) {
      const DuplicateCopy& first = group.copies.front();
      table.add({format_size(group.saved_bytes), format_size(group.bytes), std::to_string(group.copies.size()),
                 first.tensor.empty() ? "file " + first.file : first.tensor, holders(group)});
    }
  }
  return (table.empty() ? "" : table.to_text()) +
         fmt::format("{} with {} of at least {}: {} of equal files, {} of equal tensors; sharing them saves {}\n",
                     counted(report.models, "model"), counted(report.tensors, "tensor"), format_size(report.min_bytes),
                     counted(report.file_groups.size(), "group"), counted(report.tensor_groups.size(), "group"),
                     format_size(report.saved_bytes()));
}

}  // namespace reef::model
