#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/time.h"
#include "reef/io/sqlite.h"
#include "reef/memory/importance.h"
#include "reef/memory/recency.h"
#include "reef/memory/store.h"

namespace reef::memory {

/// A memory as people see it. Times are in the database's form; empty: none.
struct MemoryRow {
  std::int64_t id = 0;
  std::string content;
  std::string speaker;
  double importance = 0;
  double recency = 0;  ///< as of now
  std::string created, valid_to, last_accessed;
  std::int64_t superseded_by = 0;  ///< 0: it is valid
  std::int64_t access_count = 0;
  std::string source_session;
  std::string external_id;                ///< of the message that it was made of
  std::vector<std::string> external_ids;  ///< of all that said it
  std::vector<std::string> tags;
  bool has_vector = false;
};

/// By id; superseded ones only with `all`. `on_memory` may keep what it is given.
void list_memories(io::Database& memories, bool all, double half_life_days,
                   const std::function<void(MemoryRow&)>& on_memory);
/// Throws Error{not_found} when there is none of that id.
MemoryRow require_memory(io::Database& memories, std::int64_t id, double half_life_days = kHalfLifeDays);

struct MemorySource {
  std::int64_t message = 0;
  std::string session, external_id, speaker, created;
};
struct MemoryLink {
  std::int64_t id = 0;  ///< the other end
  double weight = 0;
  bool manual = false;
  std::string content;
};
/// One value of what a memory says of its speaker, by time.
struct Version {
  std::int64_t id = 0;
  std::string content, created, valid_to;
};
/// What a message's score was made of (table decisions).
struct Decision {
  std::int64_t message = 0;
  std::string state, decided_at;
  double score = 0, logit = 0, shift = 0;
  double emotion = 0, request = 0, novelty = 0, nearest = 0, reference = 0, personal = 0;
  bool answer = false, question = false, greeting = false;
  std::int64_t mentions = 0;
  std::optional<double> second_score;
  std::string model;  ///< which language model scored it a day later; empty: none
  double model_score = 0;
  std::string model_reason;  ///< empty: none, or something was forgotten since
};

/// One summand of a score's logit.
struct Term {
  const char* name;
  double value;
  double weight;
  double adds() const { return value * weight + 0.; }  ///< never -0
};
/// All of them, bias included. By weights that were changed since, they add up to another sum than Decision::logit.
std::vector<Term> terms_of(const Decision& decision, const ImportanceOptions& weights);

struct MemoryDetail {
  MemoryRow memory;
  ImportanceOptions weights;
  std::optional<double> valence, arousal;
  std::vector<MemorySource> sources;
  std::vector<Decision> decisions;  ///< of its messages
  std::vector<Entity> entities;
  std::vector<MemoryLink> links;
  std::vector<Version> history;  ///< empty unless there were several values
};
MemoryDetail show_memory(io::Database& memories, std::int64_t id, double half_life_days,
                         const ImportanceOptions& weights = {});

struct LinkList {
  std::int64_t id = 0;
  std::vector<MemoryLink> links;
};
/// Of both directions, the heaviest first.
LinkList links_of(io::Database& memories, std::int64_t id);

struct LinkReport {
  std::int64_t from = 0, to = 0;
  bool changed = false;
};
/// Links two memories as somebody wishes: it stays whatever the vectors say. Error{usage} for a memory and itself.
LinkReport link(Store& store, std::int64_t from, std::int64_t to);

std::string to_json(const MemoryRow& memory);
std::string to_text(const std::vector<MemoryRow>& memories);
std::string to_json(const MemoryDetail& detail);
std::string to_text(const MemoryDetail& detail);
std::string to_json(const LinkList& links);
std::string to_text(const LinkList& links);
std::string to_json(const LinkReport& report);
std::string to_text(const LinkReport& report);

}  // namespace reef::memory
