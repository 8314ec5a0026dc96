#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/tree.h"
#include "reef/cli/app.h"
#include "reef/document/given_vectors.h"
#include "reef/document/reembed.h"
#include "reef/embed/embedder.h"
#include "reef/tree/config.h"
#include "reef/tree/parts.h"
#include "reef/tree/tree.h"

namespace reef::tool {

void add_ingest(CLI::App& app, cli::Session& session);
void add_add(CLI::App& app, cli::Session& session);
void add_remove(CLI::App& app, cli::Session& session);
void add_query(CLI::App& app, cli::Session& session);
void add_show(CLI::App& app, cli::Session& session);
void add_embed(CLI::App& app, cli::Session& session);
void add_build(CLI::App& app, cli::Session& session);
void add_bench(CLI::App& app, cli::Session& session);
void add_export(CLI::App& app, cli::Session& session);
void add_verify(CLI::App& app, cli::Session& session);
void add_stat(CLI::App& app, cli::Session& session);
void add_shard(CLI::App& app, cli::Session& session);

/// Names a store on a shard that is not mounted, and what to do.
void warn_missing(const tree::MissingStore& missing);

/// --persona ID, or --shared (the default).
struct ScopeChoice {
  std::optional<std::string> persona;
  bool shared = false;
};
void add_scope(CLI::App& app, const std::shared_ptr<ScopeChoice>& choice);
tree::Scope chosen_scope(const ScopeChoice& choice, const tree::Config& config);

/// --vectors, --metadata and --embedding of `build` and `add`.
struct GivenChoice {
  std::optional<std::string> vectors, metadata, embedding;
};
/// `needed`: there is nothing else that the command could do.
void add_given(CLI::App& app, const std::shared_ptr<GivenChoice>& choice, bool needed);
/// Of an index that finds less than it was to.
void warn_short_of_recall(const std::string& scope, double recall, double asked);
/// `build` of one scope with --embedding alone; false when there is nothing to embed.
bool embed_again(cli::Session& session, const tree::Tree& tree, const document::ReembedOptions& options,
                 embed::Embedder& embedder);
/// `build` with --vectors.
int build_from_vectors(cli::Session& session, const GivenChoice& choice, document::GivenOptions options,
                       const ScopeChoice& scope);

}  // namespace reef::tool
