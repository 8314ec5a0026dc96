#include "reef/model/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/model/internal/model_config.h"
#include "reef/model/internal/weights.h"

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
  std::vector<std::string> known;
  for (const Kind kind : kAllKinds) {
    for (const fs::path& folder : model_folders(tree.models(kind_folder(kind)))) known.push_back(folder.filename());
  }
  const auto close = nearest(name, known);
  throw Error(Errc::not_found,
              fmt::format("there is no model '{}'{}", name, close ? fmt::format(", did you mean '{}'?", *close) : ""),
              "'reef-model list' shows the models, 'reef-model import' brings one");
}

/// Counts what the tensors of one model have in common.
void summarise(ModelDetails& details) {
  std::map<std::string, std::set<std::uint64_t>> stacks;
  std::map<Dtype, DtypeTotal> totals;
  for (const LocatedTensor& located : details.tensors) {
    const Tensor& tensor = located.tensor;
    if (auto layer = layer_of(tensor.name)) stacks[std::move(layer->prefix)].insert(layer->number);
    DtypeTotal& total = totals[tensor.dtype];
    total.dtype = tensor.dtype;
    ++total.tensors;
    total.elements += tensor.elements();
    total.bytes += tensor.bytes();
    details.parameters += tensor.elements();
  }
  for (const auto& [prefix, numbers] : stacks) details.stacks.push_back({prefix, numbers.size()});
  for (const auto& [dtype, total] : totals) details.dtypes.push_back(total);
  std::stable_sort(details.dtypes.begin(), details.dtypes.end(),
                   [](const DtypeTotal& a, const DtypeTotal& b) { return a.bytes > b.bytes; });
}

}  // namespace

Installed find_model(const tree::Tree& tree, const std::string& name) {
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
  auto manifest = read_manifest(found.front());
  if (!manifest) {
    throw Error(Errc::corrupt, fmt::format("{}: there is no {}", io::shown(found.front()), kManifestFile),
                "import the model again with 'reef-model import --force'");
  }
  return {std::move(found.front()), std::move(*manifest)};
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
  return list;
}

ModelDetails describe_model(const tree::Tree& tree, const std::string& name, bool with_tensors) {
  ModelDetails details;
  details.model = find_model(tree, name);
  details.with_tensors = with_tensors;
  const internal::ModelConfig config = internal::read_model_config(details.model.folder);
  details.architecture = config.architecture.empty() ? config.model_type : config.architecture;
  details.quantization = config.quantization;
  std::vector<std::string> paths;
  for (const ManifestFile& file : details.model.manifest.files) paths.push_back(file.path);
  for (auto& [file, header] : internal::read_weights(details.model.folder, paths)) {
    for (Tensor& tensor : header.tensors) {
      if (!header.is_aligned(tensor)) ++details.unaligned;
      details.tensors.push_back({file, std::move(tensor)});
    }
  }
  summarise(details);
  return details;
}

std::optional<LayerName> layer_of(std::string_view tensor) {
  static constexpr std::string_view kLayerWords[] = {"layers", "layer", "blk", "h", "block", "blocks"};
  std::size_t begin = 0;
  while (begin < tensor.size()) {
    const std::size_t dot = tensor.find('.', begin);
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view word = tensor.substr(begin, dot - begin);
    if (std::find(std::begin(kLayerWords), std::end(kLayerWords), word) != std::end(kLayerWords)) {
      const std::string_view next = tensor.substr(dot + 1, tensor.find('.', dot + 1) - dot - 1);
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(next.data(), next.data() + next.size(), number);
      if (error == std::errc{} && end == next.data() + next.size())
        return LayerName{std::string(tensor.substr(0, dot)), number};
    }
    begin = dot + 1;
  }
  return std::nullopt;
}

}  // namespace reef::model
