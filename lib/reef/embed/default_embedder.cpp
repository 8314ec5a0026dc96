#include "reef/embed/default_embedder.h"

#include <exception>

#include "reef/core/error.h"
#include "reef/embed/encoder.h"
#include "reef/embed/endpoint.h"
#include "reef/model/archived.h"
#include "reef/model/embedding.h"

namespace reef::embed {
namespace {

std::unique_ptr<Embedder> open_configured_endpoint(const tree::Tree& tree, const tree::Config& config) {
  EndpointOptions options;
  options.url = config.text("system", "endpoints.embedding.url");
  if (options.url.empty())
    throw Error(Errc::usage, "default_embedding is 'endpoint', but endpoints.embedding.url is empty",
                "name the service in config/system.yaml");
  options.model = config.text("system", "endpoints.embedding.model");
  options.key_file = config.text("system", "endpoints.embedding.key_file");
  options.timeout = std::chrono::seconds(config.count("system", "endpoints.embedding.timeout_seconds"));
  options.max_tokens = config.count("system", "endpoints.embedding.max_tokens");
  options.query_prefix = config.text("models", "models.endpoint.query_prefix");
  options.passage_prefix = config.text("models", "models.endpoint.passage_prefix");
  options.scratch = tree.embedding_cache();
  return open_endpoint(options);
}

}  // namespace

std::unique_ptr<Embedder> open_default_embedder(const tree::Tree& tree, const tree::Config& config) {
  return open_embedder(tree, config, "");
}

std::unique_ptr<Embedder> open_embedder(const tree::Tree& tree, const tree::Config& config, std::string name) {
  if (name.empty()) name = config.text("models", "default_embedding");
  if (name == "endpoint") return open_configured_endpoint(tree, config);
  try {
    return open_encoder(tree.encoders(), model::resolve_embedding(tree, config, name));
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    if (name == config.text("system", "endpoints.embedding.model") &&
        !config.text("system", "endpoints.embedding.url").empty())
      return open_configured_endpoint(tree, config);
    if (model::find_archived(tree, name)) throw;
    throw Error(Errc::not_found, error.what(),
                "bring it with 'scripts/fetch-embedding-model', 'reef-model import' or 'fetch', or go without vectors: "
                "'ingest --text-only', 'query --mode bm25'");
  }
}

bool makes_vectors_of(const Identity& identity, const std::string& digest, std::size_t dim) {
  return identity.dim == dim && (digest.empty() || digest == identity.digest);
}

std::unique_ptr<Embedder> open_embedder_of(const EmbedderMaker& make, const std::string& name,
                                           const std::string& digest) {
  std::unique_ptr<Embedder> named;
  std::exception_ptr absent;
  try {
    named = make(name);
    if (digest.empty() || named->identity().digest == digest) return named;
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    absent = std::current_exception();
  }
  try {
    if (auto other = make(""); other->identity().digest == digest) return other;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
  }
  if (absent) std::rethrow_exception(absent);
  return named;
}

}  // namespace reef::embed
