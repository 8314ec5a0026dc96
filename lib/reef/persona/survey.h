#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/tree/config.h"
#include "reef/tree/parts.h"
#include "reef/tree/persona_change.h"
#include "reef/tree/tree.h"

namespace reef::persona {

namespace fs = std::filesystem;

/// What a persona has, in rows and in bytes. A file that has several names in one store counts once.
struct Survey {
  std::string id;
  std::string name;         ///< for people
  std::string base;         ///< of its adapters; empty: none
  std::string created;      ///< as personas.yaml says
  bool is_listed = true;    ///< in personas.yaml; else there is only data of it
  std::uint64_t files = 0;  ///< that were taken in
  std::uint64_t documents = 0;
  std::uint64_t original_bytes = 0;  ///< of those files, whoever shares them
  std::uint64_t chunks = 0;
  std::uint64_t vectors = 0;  ///< of chunks
  std::uint64_t turns = 0;    ///< vectors of messages
  std::uint64_t vector_bytes = 0;
  std::uint64_t sessions = 0, messages = 0;
  std::uint64_t archived = 0;       ///< messages whose text is in storage.archive
  std::uint64_t pending = 0;        ///< messages that are not embedded yet
  std::uint64_t content_bytes = 0;  ///< texts of messages that are in the tree
  std::uint64_t memories = 0;
  std::uint64_t memory_bytes = 0;
  std::string last_activity;  ///< in the database's form; empty: none
  std::vector<tree::MissingStore> missing;
  std::vector<std::string> unreadable;  ///< files whose rows are not counted, and why

  bool has_data() const { return files + chunks + turns + sessions + memories > 0; }
};

/// Of every persona of personas.yaml, and of every other id that there is data of, by id; or of one of them.
std::vector<Survey> survey(const tree::Tree& tree, const tree::Config& config,
                           const std::optional<std::string>& persona = {});
/// Ids that there is data of, whatever personas.yaml says; sorted.
std::vector<std::string> ids_with_data(const tree::Tree& tree);

struct AdapterUse {
  std::string name;
  fs::path folder;     ///< empty: it is not there
  std::string digest;  ///< SHA-256 of its manifest.json; empty: it has none
  std::uint64_t bytes = 0;
  std::vector<std::string> others;  ///< other personas that it belongs to
};

/// Where one of a persona's stores lies.
struct StorePlace {
  std::string what;         ///< "vectors", "turns", "memories", "conversations", "documents"
  fs::path path;            ///< in the tree
  fs::path target;          ///< where the link leads that it is; empty: it is none
  std::string shard;        ///< id; empty: it is on none
  std::string shared_with;  ///< "all personas" for databases of all
};

struct Details {
  Survey survey;
  std::vector<std::pair<std::string, tree::ConfigValue>> configuration;  ///< of its section
  std::vector<AdapterUse> adapters;
  std::vector<StorePlace> places;
  std::vector<tree::PersonaChange> pending;  ///< a change to it that a run did not end; at most one
};

/// Throws Error{not_found} naming the nearest for an id of which there is nothing.
Details describe(const tree::Tree& tree, const tree::Config& config, const std::string& id);

/// The adapters that personas.yaml binds to a persona.
std::vector<AdapterUse> adapters_of(const tree::Tree& tree, const tree::Config& config, const std::string& id);

std::string to_text(const std::vector<Survey>& personas);
/// One object a line.
std::string to_json(const std::vector<Survey>& personas);
std::string to_text(const Details& details);
std::string to_json(const Details& details);

}  // namespace reef::persona
