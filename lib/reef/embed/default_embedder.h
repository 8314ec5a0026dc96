#pragma once

#include <functional>
#include <memory>
#include <string>

#include "reef/embed/embedder.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::embed {

/// The embedder that default_embedding of models.yaml names: a model of the tree, or "endpoint",
/// the service of endpoints.embedding in system.yaml. `config` must hold both files.
/// Throws Error{not_found} saying how to bring the model when it is not there.
std::unique_ptr<Embedder> open_default_embedder(const tree::Tree& tree, const tree::Config& config);

/// The embedder of that name: a model of the tree, "endpoint", or what the service calls its model. "": the default
/// one.
std::unique_ptr<Embedder> open_embedder(const tree::Tree& tree, const tree::Config& config, std::string name);

/// Gives the embedder of a name ("": the default one), or throws Error{not_found}.
using EmbedderMaker = std::function<std::unique_ptr<Embedder>(const std::string& name)>;

/// The embedder for vectors that a store says are of `name` and `digest`: the one of that name, or the default one when
/// that makes the same vectors under another name. One of that name that makes others is returned as well: the caller
/// compares, with makes_vectors_of().
std::unique_ptr<Embedder> open_embedder_of(const EmbedderMaker& make, const std::string& name,
                                           const std::string& digest);

/// Whether vectors of that identity may be compared with those of a store. An empty digest: vectors that were made
/// elsewhere, of a model that was not installed then, which only its name tells.
bool makes_vectors_of(const Identity& identity, const std::string& digest, std::size_t dim);

}  // namespace reef::embed
