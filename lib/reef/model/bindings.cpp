#include "reef/model/bindings.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/model/internal/json_scanner.h"
#include "reef/tree/persona.h"

namespace reef::model {
namespace {

/// "gemma", or "base/gemma": a folder below one of the kinds that may be meant.
bool is_there(const tree::Tree& tree, const Binding& binding) {
  return std::any_of(std::begin(kAllKinds), std::end(kAllKinds), [&](Kind kind) {
    if (binding.is_base == (kind == Kind::adapter)) return false;
    std::string_view name = binding.name;
    const std::string prefix = qualified_name(kind, "");
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    return is_model_name(name) && std::filesystem::is_directory(tree.models(kind_folder(kind)) / name);
  });
}

bool names_adapter(const Binding& binding, std::string_view name) {
  return !binding.is_base && (binding.name == name || binding.name == qualified_name(Kind::adapter, name));
}

}  // namespace

std::string Binding::text() const {
  return fmt::format("{}: persona '{}' is bound to the {} '{}'", origin, persona, is_base ? "base model" : "adapter",
                     internal::legible(name));
}

std::vector<Binding> read_bindings(const tree::Config& config) {
  std::vector<Binding> bindings;
  for (const std::string& persona : tree::personas(config)) {
    const auto& base = config.value("personas", fmt::format("personas.{}.base", persona));
    if (!base.text.empty()) bindings.push_back({persona, true, base.text, base.origin});
    const auto& adapters = config.value("personas", fmt::format("personas.{}.adapters", persona));
    for (const std::string& name : adapters.items) bindings.push_back({persona, false, name, adapters.origin});
  }
  return bindings;
}

std::vector<Binding> missing_bindings(const tree::Tree& tree, const std::vector<Binding>& bindings) {
  std::vector<Binding> missing;
  std::copy_if(bindings.begin(), bindings.end(), std::back_inserter(missing),
               [&](const Binding& binding) { return !is_there(tree, binding); });
  return missing;
}

std::vector<std::string> personas_of(const std::vector<Binding>& bindings, const Manifest& manifest) {
  std::vector<std::string> personas;
  if (manifest.kind != Kind::adapter) return personas;
  for (const Binding& binding : bindings)
    if (names_adapter(binding, manifest.name)) personas.push_back(binding.persona);
  if (!manifest.persona.empty()) personas.push_back(manifest.persona);
  std::sort(personas.begin(), personas.end());
  personas.erase(std::unique(personas.begin(), personas.end()), personas.end());
  return personas;
}

std::string missing_hint(const Binding& binding) {
  const std::string line = fmt::format("take it out of {}", binding.origin);
  if (binding.is_base) return fmt::format("import it with 'reef-model import', or {}", line);
  return fmt::format("import it with 'reef-model import SRC --kind adapter --name {} --persona {}', or {}",
                     internal::legible(binding.name), binding.persona, line);
}

}  // namespace reef::model
