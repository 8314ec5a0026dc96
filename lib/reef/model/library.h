#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/model/archived.h"
#include "reef/model/bindings.h"
#include "reef/model/manifest.h"
#include "reef/model/tpu_config.h"
#include "reef/model/weights.h"
#include "reef/tree/tree.h"

namespace reef::model {

/// A model's folder and what its manifest says.
struct Installed {
  std::filesystem::path folder;
  Manifest manifest;
};

/// The folder of the model called `name`, whether or not it has a manifest. Throws as find_model() does for a name.
std::filesystem::path find_model_folder(const tree::Tree& tree, const std::string& name);

/// The model called `name`: "gemma-3-4b", or "adapters/alice" where the same name exists under
/// several kinds. Throws Error{not_found} naming the nearest, or the archive that it is in, Error{usage} when it is
/// ambiguous, Error{corrupt} when the folder's manifest is missing or damaged.
Installed find_model(const tree::Tree& tree, const std::string& name);

/// What lies in a model's folder and is neither in its manifest nor reef's own; sorted, relative to the folder.
std::vector<std::string> foreign_files(const std::filesystem::path& folder, const Manifest& manifest);

struct ListEntry {
  std::string name;
  Kind kind = Kind::base;
  std::filesystem::path folder;
  Manifest manifest;  ///< empty when fault is not
  std::string fault;  ///< why the manifest cannot be used; empty: it can
};
struct ModelList {
  std::vector<ListEntry> entries;
  std::vector<Binding> bindings{};  ///< of personas.yaml, for a report
  std::vector<ArchivedModel> archived{};
};
/// Every folder below models/{base,quantized,adapters}, by kind, then name. A folder without a
/// manifest is listed with its fault: it takes space and someone should know. Then those that are archived.
ModelList list_models(const tree::Tree& tree);
/// Those of them that are named, in the order of the names; all when there are none. Throws as find_model() does for a
/// name that nothing has.
std::vector<ListEntry> select_models(const tree::Tree& tree, const std::vector<std::string>& names);

/// A run of like layers: encoder.layer.0 … encoder.layer.5.
struct LayerStack {
  std::string prefix;  ///< "encoder.layer"
  std::uint64_t count = 0;
};
struct DtypeTotal {
  std::string dtype;  ///< "BF16"
  std::uint64_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};
struct ModelDetails {
  Installed model;
  std::string architecture;  ///< "BertModel" or the model_type; empty: config.json names none
  std::string quantization;  ///< "gptq, 4 bits"; empty: none
  std::uint64_t parameters = 0;
  std::uint64_t unaligned = 0;  ///< tensors that cannot be used in place
  std::vector<LayerStack> stacks;
  std::vector<DtypeTotal> dtypes;      ///< most bytes first
  std::vector<WeightFile> weights;     ///< in the order of the manifest
  std::optional<TpuConfig> tpu;        ///< its tpu_config.json
  std::vector<SegmentCheck> segments;  ///< of it
  bool with_tensors = false;           ///< whether a report lists them
  std::vector<Binding> bindings{};     ///< of the personas that an adapter belongs to, for a report
  std::vector<Binding> missing{};      ///< those of them whose model is not there

  std::uint64_t tensor_count() const;
  /// Of the first file that has the key; empty where none has.
  std::string metadata(std::string_view key) const;
};
/// Reads headers only. Throws as find_model(), SafetensorsFile and parse_tpu_config() do; of a model that is not there
/// but named by one of the `bindings` it tells so.
ModelDetails describe_model(const tree::Tree& tree, const std::string& name, bool with_tensors,
                            const std::vector<Binding>& bindings = {});

std::string to_json(const ListEntry& entry, const std::vector<Binding>& bindings);
std::string to_text(const ModelList& list);
std::string to_json(const ModelDetails& details);
std::string to_text(const ModelDetails& details);

}  // namespace reef::model
