#include "reef/tree/config.h"

namespace reef::tree {

const std::vector<ConfigKey>& config_keys() {
  using enum ValueType;
  static const std::vector<ConfigKey> kKeys{
      {"system", "storage.layout", text, "minimal",
       "Drives that the tree is meant for: minimal (one), standard or enterprise (data apart from models); reef-init "
       "--check compares"},
      {"system", "retrieve.layers", list, "[persona, shared, documents]",
       "Layers that a query searches, in this order"},
      {"system", "retrieve.priors.persona", number, "1.0", "Factor on the score of a persona's own knowledge"},
      {"system", "retrieve.priors.shared", number, "0.95", "Factor on the score of shared knowledge"},
      {"system", "retrieve.priors.documents", number, "0.9", "Factor on the score of documents without vectors"},
      {"system", "ingest.max_file_bytes", size, "256MiB", "Larger files are refused; --text-only streams them"},
      {"system", "ingest.limits.memory_bytes", size, "1GiB",
       "Memory of a program that turns a file into text (pdftotext, converters)"},
      {"system", "ingest.limits.seconds", count, "60", "Time that such a program may take for one file"},
      {"system", "ingest.limits.output_bytes", size, "64MiB", "Text that such a program may write for one file"},
      {"system", "ingest.converters.*", list, "",
       "Program for another kind of file, the extension its name: .docx: [pandoc, -t, markdown, \"{}\"]"},
      {"system", "endpoints.embedding.url", text, "",
       "OpenAI-compatible service, used when default_embedding is 'endpoint'"},
      {"system", "endpoints.embedding.model", text, "", "Model name that is sent to it"},
      {"system", "endpoints.embedding.key_file", text, "", "File that holds its API key; none is sent without"},
      {"system", "endpoints.embedding.timeout_seconds", count, "30", "Longest wait for one answer"},
      {"system", "endpoints.embedding.max_tokens", count, "512", "Longest text that it takes, in tokens"},
      {"system", "cache.embedding.cap_bytes", size, "2GiB",
       "Size of cache/embedding_cache before the oldest vectors go"},
      {"models", "default_embedding", text, "all-MiniLM-L6-v2",
       "Model under models/ that makes vectors, or 'endpoint'"},
      {"models", "models.*.pooling", text, "", "mean or cls; else what the model's own files say"},
      {"models", "models.*.query_prefix", text, "", "Put before every question (e5: \"query: \")"},
      {"models", "models.*.passage_prefix", text, "", "Put before every passage (e5: \"passage: \")"},
      {"models", "models.*.max_tokens", count, "0",
       "Tokens that a passage may have; 0: what the model's own files say"},
      {"models", "models.*.fusion_weight", number, "0.5", "Share of the dense score in hybrid search, 0 to 1"},
      {"personas", "personas.*.name", text, "", "Name for people"},
      {"personas", "personas.*.created", text, "", "When reef-init added it"},
  };
  return kKeys;
}

}  // namespace reef::tree
