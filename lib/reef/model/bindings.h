#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reef/model/manifest.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model {

/// A model that personas.yaml names for a persona: one of its adapters, or the base model under them.
struct Binding {
  std::string persona;
  bool is_base = false;
  std::string name;
  std::string origin;  ///< "<file>:<line>"

  /// "personas.yaml:7: persona 'alice' is bound to the adapter 'alice-lora'"
  std::string text() const;
};

/// Those of personas.yaml, by persona; of each the base model first, then its adapters in their order.
std::vector<Binding> read_bindings(const tree::Config& config);

/// Those whose model is in no folder of the tree.
std::vector<Binding> missing_bindings(const tree::Tree& tree, const std::vector<Binding>& bindings);

/// Personas that an adapter belongs to: those that it is bound to, sorted, and the one of its manifest.
std::vector<std::string> personas_of(const std::vector<Binding>& bindings, const Manifest& manifest);

/// What to do about a missing one.
std::string missing_hint(const Binding& binding);

}  // namespace reef::model
