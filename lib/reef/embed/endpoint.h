#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "reef/embed/embedder.h"

namespace reef::embed {

/// An OpenAI-compatible `/v1/embeddings` service (endpoints.embedding in system.yaml).
struct EndpointOptions {
  std::string url;                 ///< "http://127.0.0.1:8080/v1/embeddings"
  std::string model;               ///< the name sent in the request
  std::filesystem::path key_file;  ///< holds the API key; empty: none is sent
  std::chrono::milliseconds timeout{30000};
  std::size_t dim = 0;  ///< 0: asked for once, with a probe text
  std::size_t max_tokens = 512;
  std::string query_prefix;
  std::string passage_prefix;
  std::filesystem::path scratch;  ///< request and response files of the helper
};

/// Requests go through libexec/reef/reef-http, so that no command links libcurl. Retries on 429 and
/// 5xx with back-off; vectors are normalised; a wrong dimension or count is Error{corrupt}.
std::unique_ptr<Embedder> open_endpoint(const EndpointOptions& options);

}  // namespace reef::embed
