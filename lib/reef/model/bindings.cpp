#include "reef/model/bindings.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "reef/model/internal/json_scanner.h"
#include "reef/tree/persona.h"

namespace reef::model {
namespace {

/// The name alone, of "gemma" as of "base/gemma", where a model of that kind may be meant and can have it.
std::optional<std::string_view> name_as(const Binding& binding, Kind kind) {
  if (binding.is_base == (kind == Kind::adapter)) return std::nullopt;
  std::string_view name = binding.name;
  const std::string prefix = qualified_name(kind, "");
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return is_model_name(name) ? std::optional(name) : std::nullopt;
}

bool is_there(const tree::Tree& tree, const Binding& binding) {
  return std::any_of(std::begin(kAllKinds), std::end(kAllKinds), [&](Kind kind) {
    const auto name = name_as(binding, kind);
    return name && std::filesystem::is_directory(tree.models(kind_folder(kind)) / *name);
  });
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
    if (name_as(binding, Kind::adapter) == manifest.name) personas.push_back(binding.persona);
  if (!manifest.persona.empty()) personas.push_back(manifest.persona);
  std::sort(personas.begin(), personas.end());
  personas.erase(std::unique(personas.begin(), personas.end()), personas.end());
  return personas;
}

std::string missing_hint(const Binding& binding) {
  const std::string line = fmt::format("take it out of {}", binding.origin);
  for (const Kind kind : kAllKinds) {
    const auto name = name_as(binding, kind);
    if (!name) continue;
    const std::string whose = binding.is_base
                                  ? fmt::format("--name {}", *name)
                                  : fmt::format("--kind adapter --name {} --persona {}", *name, binding.persona);
    return fmt::format("bring it with 'reef-model fetch {}' or 'reef-model import SRC {}', or {}",
                       qualified_name(kind, *name), whose, line);
  }
  return fmt::format("no model can have that name: {}", line);
}

}  // namespace reef::model
