#pragma once

#include <memory>

#include "reef/embed/embedder.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::embed {

/// The embedder that default_embedding of models.yaml names: a model of the tree, or "endpoint",
/// the service of endpoints.embedding in system.yaml. `config` must hold both files.
/// Throws Error{not_found} saying how to bring the model when it is not there.
std::unique_ptr<Embedder> open_default_embedder(const tree::Tree& tree, const tree::Config& config);

}  // namespace reef::embed
