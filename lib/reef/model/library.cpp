#include "reef/model/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/model/internal/model_config.h"
#include "reef/model/layer_order.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

/// Folders directly below `parent`, hidden (staged) ones left out, sorted.
std::vector<fs::path> model_folders(const fs::path& parent) {
  std::vector<fs::path> folders;
  if (!fs::exists(parent)) return folders;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.is_directory() && !entry.path().filename().string().starts_with('.')) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

[[noreturn]] void fail_unknown(const tree::Tree& tree, const std::string& name) {
  if (const auto archived = find_archived(tree, name)) {
    throw Error(Errc::not_found, fmt::format("{} is archived at {}", name, io::shown(archived->place)),
                fmt::format("'reef-model fetch {}' brings it back", name));
  }
  std::vector<std::string> known;
  for (const Kind kind : kAllKinds) {
    for (const fs::path& folder : model_folders(tree.models(kind_folder(kind)))) known.push_back(folder.filename());
    for (const fs::path& folder : model_folders(tree.archived(kind_folder(kind)))) known.push_back(folder.filename());
  }
  const auto close = nearest(name, known);
  throw Error(Errc::not_found,
              fmt::format("there is no model '{}'{}", name, close ? fmt::format(", did you mean '{}'?", *close) : ""),
              "'reef-model list' shows the models, 'reef-model import' or 'fetch' brings one");
}

/// Counts what the tensors of one model have in common.
void summarise(ModelDetails& details) {
  const std::vector<std::string> patterns = details.tpu ? details.tpu->layer_patterns : std::vector<std::string>{};
  std::map<std::string, std::set<std::uint64_t>> stacks;
  std::map<std::string, DtypeTotal> totals;
  for (const WeightFile& file : details.weights) {
    for (const WeightTensor& tensor : file.tensors) {
      if (auto layer = layer_of(tensor.name, patterns)) stacks[std::move(layer->prefix)].insert(layer->number);
      DtypeTotal& total = totals[tensor.dtype];
      total.dtype = tensor.dtype;
      ++total.tensors;
      total.elements += tensor.elements;
      total.bytes += tensor.bytes();
      details.parameters += tensor.elements;
      if (!tensor.is_aligned) ++details.unaligned;
    }
  }
  for (const auto& [prefix, numbers] : stacks) details.stacks.push_back({prefix, numbers.size()});
  for (const auto& [dtype, total] : totals) details.dtypes.push_back(total);
  std::stable_sort(details.dtypes.begin(), details.dtypes.end(),
                   [](const DtypeTotal& a, const DtypeTotal& b) { return a.bytes > b.bytes; });
}

}  // namespace

std::filesystem::path find_model_folder(const tree::Tree& tree, const std::string& name) {
  const std::size_t slash = name.find('/');
  const std::string wanted_folder = slash == std::string::npos ? "" : name.substr(0, slash);
  const std::string wanted = slash == std::string::npos ? name : name.substr(slash + 1);
  std::vector<fs::path> found;
  for (const Kind kind : kAllKinds) {
    if (!wanted_folder.empty() && wanted_folder != kind_folder(kind)) continue;
    fs::path folder = tree.models(kind_folder(kind)) / wanted;
    if (is_model_name(wanted) && fs::is_directory(folder)) found.push_back(std::move(folder));
  }
  if (found.empty()) fail_unknown(tree, name);
  if (found.size() > 1) {
    const auto qualified = [](const fs::path& folder) {
      return folder.parent_path().filename().string() + "/" + folder.filename().string();
    };
    throw Error(Errc::usage, fmt::format("'{}' names {} models", name, found.size()),
                fmt::format("say '{}' or '{}'", qualified(found[0]), qualified(found[1])));
  }
  return found.front();
}

Installed find_model(const tree::Tree& tree, const std::string& name) {
  fs::path folder = find_model_folder(tree, name);
  auto manifest = read_manifest(folder);
  if (!manifest) {
    throw Error(Errc::corrupt, fmt::format("{}: there is no {}", io::shown(folder), kManifestFile),
                "import the model again with 'reef-model import --force', or write one with 'reef-model manifest'");
  }
  return {std::move(folder), std::move(*manifest)};
}

std::vector<std::string> foreign_files(const fs::path& folder, const Manifest& manifest) {
  std::set<std::string> known;
  for (const ManifestFile& file : manifest.files) known.insert(file.path);
  std::vector<std::string> foreign;
  for (const auto& found : fs::recursive_directory_iterator(folder)) {
    if (found.is_directory()) continue;
    std::string path = found.path().lexically_relative(folder).string();
    // A manifest whose writing was killed is no part of the model; the next one removes it.
    const bool is_ours = is_record_file(path) || io::is_temporary_name(path);
    if (!known.contains(path) && !is_ours) foreign.push_back(std::move(path));
  }
  std::sort(foreign.begin(), foreign.end());
  return foreign;
}

ModelList list_models(const tree::Tree& tree) {
  ModelList list;
  for (const Kind kind : kAllKinds) {
    for (const fs::path& folder : model_folders(tree.models(kind_folder(kind)))) {
      ListEntry entry{folder.filename(), kind, folder, {}, {}};
      try {
        if (auto manifest = read_manifest(folder)) {
          entry.manifest = std::move(*manifest);
        } else {
          entry.fault = fmt::format("there is no {}", kManifestFile);
        }
      } catch (const Error& e) {
        entry.fault = e.what();
      }
      list.entries.push_back(std::move(entry));
    }
  }
  list.archived = list_archived(tree);
  return list;
}

std::vector<ListEntry> select_models(const tree::Tree& tree, const std::vector<std::string>& names) {
  std::vector<ListEntry> all = list_models(tree).entries;
  if (names.empty()) return all;
  std::vector<ListEntry> chosen;
  for (const std::string& name : names) {
    const std::size_t before = chosen.size();
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), [&](const ListEntry& entry) {
      return entry.name == name || qualified_name(entry.kind, entry.name) == name;
    });
    if (chosen.size() == before) find_model(tree, name);  // throws, naming the nearest
  }
  return chosen;
}

std::string ModelDetails::metadata(std::string_view key) const {
  for (const WeightFile& file : weights) {
    for (const auto& [name, value] : file.metadata)
      if (name == key) return value;
  }
  return {};
}

std::uint64_t ModelDetails::tensor_count() const {
  std::uint64_t count = 0;
  for (const WeightFile& file : weights) count += file.tensors.size();
  return count;
}

namespace {

/// As find_model(); of a model that is not there, the binding that names it is told.
Installed find_bound_model(const tree::Tree& tree, const std::string& name, const std::vector<Binding>& bindings) {
  try {
    return find_model(tree, name);
  } catch (const Error& e) {
    const auto bound =
        std::find_if(bindings.begin(), bindings.end(), [&](const Binding& binding) { return binding.name == name; });
    if (e.code() != Errc::not_found || bound == bindings.end()) throw;
    throw Error(e.code(), fmt::format("there is no model '{}'; {}", name, bound->text()), missing_hint(*bound));
  }
}

/// Of an adapter: what its personas are bound to.
void relate(const tree::Tree& tree, const std::vector<Binding>& bindings, ModelDetails& details) {
  const std::vector<std::string> personas = personas_of(bindings, details.model.manifest);
  std::copy_if(bindings.begin(), bindings.end(), std::back_inserter(details.bindings), [&](const Binding& binding) {
    return std::binary_search(personas.begin(), personas.end(), binding.persona);
  });
  details.missing = missing_bindings(tree, details.bindings);
}

}  // namespace

ModelDetails describe_model(const tree::Tree& tree, const std::string& name, bool with_tensors,
                            const std::vector<Binding>& bindings) {
  ModelDetails details;
  details.model = find_bound_model(tree, name, bindings);
  relate(tree, bindings, details);
  details.with_tensors = with_tensors;
  const internal::ModelConfig config = internal::read_model_config(details.model.folder);
  details.architecture = config.architecture.empty() ? config.model_type : config.architecture;
  details.quantization = config.quantization;
  std::vector<std::string> paths;
  for (const ManifestFile& file : details.model.manifest.files) paths.push_back(file.path);
  details.weights = read_weights(details.model.folder, paths);
  details.tpu = read_tpu_config(details.model.folder);
  if (details.tpu) details.segments = check_segments(details.model.folder, *details.tpu);
  summarise(details);
  if (details.architecture.empty()) details.architecture = details.metadata("general.architecture");
  // A GGUF file says how it is quantised by the types of its tensors.
  if (details.quantization.empty() && details.model.manifest.kind == Kind::quantized && !details.dtypes.empty())
    details.quantization = "mostly " + details.dtypes.front().dtype;
  return details;
}

}  // namespace reef::model
