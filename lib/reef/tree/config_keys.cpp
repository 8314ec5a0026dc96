#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/tree/config.h"
#include "reef/tree/persona.h"

namespace reef::tree {
namespace {

constexpr double kDay = 86400;  ///< in seconds; longer waits are typing errors

/// Files are told apart by their last extension, whatever its case.
void require_extension(std::string_view name) {
  const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  std::string meant = fmt::format(".{}", name.substr(name.rfind('.') + 1));
  for (char& c : meant)
    if (capital(c)) c = static_cast<char>(c - 'A' + 'a');
  if (meant == name && meant.size() > 1 && meant.find('/') == std::string::npos) return;
  throw Error(Errc::usage, fmt::format("'{}' is no extension, did you mean '{}'?", name, meant),
              "an extension has its dot and small letters: .docx");
}

Limits words(std::string_view allowed) {
  Limits limits;
  limits.words = allowed;
  return limits;
}

Limits range(double min, double max = std::numeric_limits<double>::infinity()) {
  Limits limits;
  limits.min = min;
  limits.max = max;
  return limits;
}

Limits names(void (*check)(std::string_view)) {
  Limits limits;
  limits.check_name = check;
  return limits;
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  using enum ValueType;
  static const std::vector<ConfigKey> kKeys{
      {"system", "storage.layout", text, "minimal",
       "Drives: minimal is one, the others have data apart from models; reef-init --check compares",
       words("minimal standard enterprise")},
      {"system", "storage.shards", list, "",
       "Folders, one or more for each drive, over which 'reef-index shard apply' spreads the stores"},
      {"system", "storage.archive", text, "",
       "Folder on another drive that 'reef-model archive' and 'reef-session archive' move to"},
      {"system", "retrieve.layers", list, "[memories, persona, shared, documents]",
       "Layers that a query searches, in this order", words("memories persona shared documents")},
      {"system", "retrieve.priors.memories", number, "1.0", "Factor on the score of what a persona remembers",
       range(0)},
      {"system", "retrieve.priors.persona", number, "1.0", "Factor on the score of a persona's own knowledge",
       range(0)},
      {"system", "retrieve.priors.shared", number, "0.95", "Factor on the score of shared knowledge", range(0)},
      {"system", "retrieve.priors.documents", number, "0.9", "Factor on the score of documents without vectors",
       range(0)},
      {"system", "retrieve.ef", count, "64",
       "Width of a graph's search: larger finds more and takes longer; 'reef-index bench' measures both", range(1)},
      {"system", "retrieve.speaker_bonus", number, "0.1",
       "Added to the score of what somebody said whom the question names; scores go from 0 to 1", range(0, 1)},
      {"system", "retrieve.importance_bonus", number, "0.2",
       "Times its importance, added to the score of a memory; scores go from 0 to 1", range(0, 1)},
      {"system", "memory.weights.emotion", number, "0.25", "Weight of feeling in a message's importance"},
      {"system", "memory.weights.request", number, "0.5", "Weight of being asked to remember, or told a personal fact"},
      {"system", "memory.weights.novelty", number, "3.0", "Weight of rare words and of new ones"},
      {"system", "memory.weights.unlike", number, "0.75", "Weight of being unlike every memory (1 - cosine)"},
      {"system", "memory.weights.reference", number, "0.3", "Weight of references to the past and to known names"},
      {"system", "memory.weights.personal", number, "2.9", "Weight of first person, dates and names"},
      {"system", "memory.weights.answer", number, "1.0", "Weight of following another speaker's question"},
      {"system", "memory.weights.question", number, "-0.4", "Weight of being a question"},
      {"system", "memory.weights.greeting", number, "-0.25", "Weight of beginning as a greeting or thanks"},
      {"system", "memory.weights.bias", number, "-3.2", "What is added to the weighted sum"},
      {"system", "memory.thresholds.discard", number, "0.3", "Messages of less importance are never remembered",
       range(0, 1)},
      {"system", "memory.thresholds.remember", number, "0.7",
       "Those of more are remembered at once; the others are decided after a day", range(0, 1)},
      {"system", "memory.thresholds.second", number, "0.5", "What a message must have after that day", range(0, 1)},
      {"system", "memory.half_life_days", number, "90",
       "Days after which a memory that nobody asked for has half its recency", range(.01)},
      {"system", "memory.band", flag, "true",
       "Hold the level: without it one conversation keeps most of its messages, another few"},
      {"system", "ingest.max_file_bytes", size, "256MiB", "Larger files are refused; --text-only streams them"},
      {"system", "ingest.limits.memory_bytes", size, "1GiB",
       "Memory of a program that turns a file into text (pdftotext, converters)", range(1)},
      {"system", "ingest.limits.seconds", count, "60", "Time that such a program may take for one file",
       range(1, kDay)},
      {"system", "ingest.limits.output_bytes", size, "64MiB", "Text that such a program may write for one file",
       range(1)},
      {"system", "ingest.converters.*", list, "",
       "Program for another kind of file, the extension its name: .docx: [pandoc, -t, markdown, \"{}\"]",
       names(require_extension)},
      {"system", "session.archive_after_days", count, "365",
       "'reef-session archive' moves sessions that had no message for so many days", range(1, 365'000)},
      {"system", "session.embed_on_search", count, "10000",
       "Messages without a vector that a search of conversations embeds before it answers"},
      {"system", "endpoints.embedding.url", text, "",
       "OpenAI-compatible service, used when default_embedding is 'endpoint'"},
      {"system", "endpoints.embedding.model", text, "", "Model name that is sent to it"},
      {"system", "endpoints.embedding.key_file", text, "", "File that holds its API key; none is sent without"},
      {"system", "endpoints.embedding.timeout_seconds", count, "30", "Longest wait for one answer", range(1, kDay)},
      {"system", "endpoints.embedding.max_tokens", count, "512", "Longest text that it takes, in tokens", range(1)},
      {"system", "endpoints.llm.url", text, "",
       "OpenAI-compatible language model that 'reef-memory consolidate' asks; empty: none, and nothing is sent"},
      {"system", "endpoints.llm.model", text, "", "Model name that is sent to it"},
      {"system", "endpoints.llm.key_file", text, "", "File that holds its API key; none is sent without"},
      {"system", "endpoints.llm.timeout_seconds", count, "60", "Longest wait for one answer", range(1, kDay)},
      {"system", "cache.embedding.cap_bytes", size, "2GiB",
       "Size of cache/embedding_cache before the oldest vectors go"},
      {"system", "cache.model.cap_bytes", size, "0B",
       "Size of cache/model_cache; 0: that of its filesystem if that is in memory, else half of RAM and 32 GiB at "
       "most"},
      {"system", "cache.inference.cap_bytes", size, "8GiB",
       "Size of cache/inference_cache, where runtimes put snapshots, before 'reef-model cache trim' removes the "
       "oldest"},
      {"system", "backup.tier1.to", text, "", "Where tier 1 is: a folder on another drive"},
      {"system", "backup.tier1.keep", list, "[within 24h, hourly 72, daily 14]",
       "Which snapshots of it stay: last N, within DURATION, hourly N, daily N, weekly N, monthly N"},
      {"system", "backup.tier2.to", text, "", "Where tier 2 is: a folder on another drive or a network share"},
      {"system", "backup.tier2.keep", list, "[daily 14, weekly 8, monthly 12]", "Which snapshots of it stay"},
      {"system", "backup.tier3.to", text, "", "Where tier 3 is: a folder, or s3://BUCKET/PREFIX"},
      {"system", "backup.tier3.keep", list, "[last 4]", "Which snapshots of it stay"},
      {"system", "backup.tier3.recipients", list, "",
       "Public keys of age (age1...) that tier 3 is encrypted to; empty: it is not"},
      {"system", "backup.tier3.identity", text, "",
       "File of the secret key that opens it again, for restores and drills; better kept off this machine"},
      {"system", "backup.tier3.endpoint", text, "",
       "Address of the S3 service, for models' sources, too; empty: Amazon's in that region"},
      {"system", "backup.tier3.region", text, "us-east-1", "Region that requests to it are signed for"},
      {"system", "backup.tier3.key_file", text, "", "File of two lines: key id and secret key"},
      {"system", "services.*.stop", list, "",
       "Command that stops what runs as a persona before it is restored: [systemctl, stop, alice]",
       names(require_persona_id)},
      {"system", "services.*.start", list, "", "Command that starts it again", names(require_persona_id)},
      {"models", "load.full_below", size, "8GB",
       "'reef-model load' copies smaller models into the model cache, larger ones into the page cache"},
      {"models", "load.stream_above", size, "32GB", "Larger models are loaded one piece after the other"},
      {"models", "cache.hot_seconds", count, "60", "A model used since stays in the model cache", range(0, kDay)},
      {"models", "cache.warm_seconds", count, "600", "One used since goes after those that were not", range(0, kDay)},
      {"models", "default_embedding", text, "all-MiniLM-L6-v2",
       "Model under models/ that makes vectors, or 'endpoint'"},
      {"models", "models.*.source", text, "",
       "Where 'reef-model fetch' finds it: a folder or file, http(s)://, s3://BUCKET/PREFIX/ or 'tier3'"},
      {"models", "models.*.sha256", text, "",
       "SHA-256 of its manifest.json, or of the one file that the source is: nothing else is fetched"},
      {"models", "models.*.pooling", text, "", "How outputs become one vector; else as the model's own files say",
       words("mean cls")},
      {"models", "models.*.query_prefix", text, "", "Put before every question (e5: \"query: \")"},
      {"models", "models.*.passage_prefix", text, "", "Put before every passage (e5: \"passage: \")"},
      {"models", "models.*.max_tokens", count, "0",
       "Tokens that a passage may have; 0: what the model's own files say"},
      {"models", "models.*.pinned", flag, "false", "It stays in the model cache; default_embedding does anyway"},
      {"models", "models.*.fusion_weight", number, "0.5", "Share of the dense score in hybrid search", range(0, 1)},
      {"personas", "personas.*.name", text, "", "Name for people", names(require_persona_id)},
      {"personas", "personas.*.shard", text, "",
       "Shard that holds its store whatever the others do: path, id or 'tree'", names(require_persona_id)},
      {"personas", "personas.*.base", text, "", "Model below models/base or models/quantized that its adapters go with",
       names(require_persona_id)},
      {"personas", "personas.*.adapters", list, "",
       "Its models below models/adapters; 'reef-model import --persona' adds to them", names(require_persona_id)},
      {"personas", "personas.*.created", text, "", "When reef-init added it", names(require_persona_id)},
  };
  return kKeys;
}

}  // namespace reef::tree
