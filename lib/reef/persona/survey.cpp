#include "reef/persona/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/document/verify.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/memory/schema.h"
#include "reef/model/bindings.h"
#include "reef/model/library.h"
#include "reef/persona/internal/folder_size.h"
#include "reef/session/schema.h"
#include "reef/tree/persona.h"
#include "reef/tree/shards.h"
#include "reef/vector/store.h"

namespace reef::persona {
namespace {

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::uint64_t unsigned_of(const io::Statement& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

void note_activity(Survey& survey, std::string_view time) {
  if (time > survey.last_activity) survey.last_activity = time;
}

/// Reads rows by persona out of the tree's databases into surveys that are there.
class Reader {
 public:
  Reader(const tree::Tree& tree, const tree::Config& config, std::map<std::string, Survey>& surveys)
      : tree_(tree), config_(config), surveys_(surveys) {}

  void read_sections() {
    for (const std::string& id : tree::personas(config_))
      if (const auto at = surveys_.find(id); at != surveys_.end()) {
        const auto text = [&](const char* key) {
          return config_.text("personas", fmt::format("personas.{}.{}", id, key));
        };
        at->second.name = text("name");
        at->second.base = text("base");
        at->second.created = text("created");
      }
  }

  void read_conversations() {
    const fs::path file = session::conversations_file(tree_);
    if (!is_there(file)) return;
    reading(file, [&] {
      auto database = session::read_conversations(tree_);
      const std::string only = surveys_.size() == 1 ? "WHERE s.persona_id = ?1 " : "";
      const auto ask = [&](const std::string& sql) {
        auto rows = database.prepare(sql);
        if (!only.empty()) rows.bind(1, surveys_.begin()->first);
        return rows;
      };
      auto sessions = ask("SELECT s.persona_id, count(*), max(s.updated_at) FROM sessions s " + only + "GROUP BY 1");
      while (sessions.step())
        if (Survey* survey = of(sessions.text(0))) {
          survey->sessions = unsigned_of(sessions, 1);
          note_activity(*survey, sessions.text(2));
        }
      auto messages = ask(
          "SELECT s.persona_id, count(*), coalesce(sum(length(CAST(m.content AS BLOB))), 0), count(m.archive_offset) "
          "FROM sessions s JOIN messages m ON m.session_id = s.id " +
          only + "GROUP BY 1");
      while (messages.step())
        if (Survey* survey = of(messages.text(0))) {
          survey->messages = unsigned_of(messages, 1);
          survey->content_bytes = unsigned_of(messages, 2);
          survey->archived = unsigned_of(messages, 3);
        }
      auto pending =
          ask("SELECT s.persona_id, count(*) FROM persona_numbers s JOIN pending_messages p ON p.persona = s.number " +
              only + "GROUP BY 1");
      while (pending.step())
        if (Survey* survey = of(pending.text(0))) survey->pending = unsigned_of(pending, 1);
    });
  }

  void read_documents() {
    const fs::path file = tree_.registry();
    if (!is_there(file)) return;
    reading(file, [&] {
      io::Database database(file, io::OpenMode::read);
      auto rows = database.prepare(
          "SELECT substr(scope, 9), count(*), sum(bytes), max(last_seen) FROM sources WHERE scope GLOB 'persona:*' "
          "GROUP BY 1");
      while (rows.step())
        if (Survey* survey = of(rows.text(0))) {
          survey->files = unsigned_of(rows, 1);
          survey->original_bytes = unsigned_of(rows, 2);
          note_activity(*survey, rows.text(3));
        }
    });
    for (auto& [id, survey] : surveys_) read_store(survey);
  }

  void read_turns(Survey& survey) {
    survey.vector_bytes += internal::folder_bytes(tree_.turns(survey.id));
    const fs::path file = tree_.turns(survey.id) / "metadata.sqlite";
    if (!is_there(file)) return;
    reading_one(survey, file, [&] {
      io::Database database(file, io::OpenMode::read);
      survey.turns = vector::read_state(database).rows_total;
    });
  }

  void read_memories(Survey& survey) {
    survey.memory_bytes = internal::folder_bytes(tree_.memories(survey.id));
    const fs::path file = memory::memories_file(tree_, survey.id);
    if (!is_there(file)) return;
    reading_one(survey, file, [&] {
      io::Database database(file, io::OpenMode::read);
      auto rows = database.prepare(
          "SELECT count(*), coalesce(max(created_at), ''), coalesce(max(last_accessed), '') FROM memories");
      rows.step();
      survey.memories = unsigned_of(rows, 0);
      note_activity(survey, rows.text(1));
      note_activity(survey, rows.text(2));
    });
  }

 private:
  Survey* of(std::string_view id) {
    const auto at = surveys_.find(std::string(id));
    return at == surveys_.end() ? nullptr : &at->second;
  }

  void read_store(Survey& survey) {
    const auto scope = tree::Scope::persona(survey.id);
    survey.missing = tree::missing_stores(tree_, scope);
    survey.vector_bytes += internal::folder_bytes(tree_.vectors(scope));
    if (!is_there(tree_.vectors(scope) / "metadata.sqlite")) return;
    reading_one(survey, tree_.vectors(scope) / "metadata.sqlite", [&] {
      for (const auto& stat : document::stat(tree_, {scope}).scopes) {
        survey.documents = stat.documents;
        survey.chunks = stat.chunks;
        survey.vectors = stat.vectors;
      }
    });
  }

  /// A damaged database must not keep the rest from being told.
  template <typename Read>
  void reading_one(Survey& survey, const fs::path& file, Read read) {
    try {
      read();
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      survey.unreadable.push_back(fmt::format("{}: {}", io::shown(fs::relative(file, tree_.root())), error.what()));
    }
  }
  template <typename Read>
  void reading(const fs::path& file, Read read) {
    Survey all;
    reading_one(all, file, read);
    for (auto& [id, survey] : surveys_)
      survey.unreadable.insert(survey.unreadable.end(), all.unreadable.begin(), all.unreadable.end());
  }

  const tree::Tree& tree_;
  const tree::Config& config_;
  std::map<std::string, Survey>& surveys_;
};

void add_folders(const fs::path& folder, std::set<std::string>& ids) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    // reef-init makes empty ones; a link is a store, even one that is out of reach.
    if (tree::is_persona_id(name) && (entry->is_symlink(ignored) || !fs::is_empty(entry->path(), ignored)))
      ids.insert(name);
  }
}

StorePlace place_of(const char* what, const fs::path& path) {
  StorePlace place;
  place.what = what;
  place.path = path;
  std::error_code ignored;
  if (fs::is_symlink(path, ignored))
    place.target = (path.parent_path() / fs::read_symlink(path, ignored)).lexically_normal();
  return place;
}

}  // namespace

std::vector<std::string> ids_with_data(const tree::Tree& tree) {
  std::set<std::string> ids;
  const auto add_rows = [&](const fs::path& file, const char* sql) {
    if (!is_there(file)) return;
    try {
      io::Database database(file, io::OpenMode::read);
      auto rows = database.prepare(sql);
      while (rows.step())
        if (tree::is_persona_id(rows.text(0))) ids.emplace(rows.text(0));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;  // survey() says what cannot be read
    }
  };
  add_rows(session::conversations_file(tree), "SELECT DISTINCT persona_id FROM sessions");
  add_rows(tree.registry(), "SELECT DISTINCT substr(scope, 9) FROM sources WHERE scope GLOB 'persona:*'");
  for (const char* folder : {"vectors/personas", "vectors/conversations", "data/memories"})
    add_folders(tree.root() / folder, ids);
  return {ids.begin(), ids.end()};
}

std::vector<Survey> survey(const tree::Tree& tree, const tree::Config& config,
                           const std::optional<std::string>& persona) {
  const auto listed = tree::personas(config), with_data = ids_with_data(tree);
  std::map<std::string, Survey> surveys;
  const auto add = [&](const std::string& id, bool is_listed) {
    if (persona && id != *persona) return;
    Survey survey;
    survey.id = id;
    survey.is_listed = is_listed;
    surveys.emplace(id, std::move(survey));
  };
  for (const std::string& id : listed) add(id, true);
  for (const std::string& id : with_data) add(id, false);  // of those that are there already nothing happens
  if (surveys.empty()) return {};
  Reader reader(tree, config, surveys);
  reader.read_sections();
  reader.read_conversations();
  reader.read_documents();
  std::vector<Survey> all;
  all.reserve(surveys.size());
  for (auto& [id, survey] : surveys) {
    reader.read_turns(survey);
    reader.read_memories(survey);
    all.push_back(std::move(survey));
  }
  return all;
}

std::vector<AdapterUse> adapters_of(const tree::Tree& tree, const tree::Config& config, const std::string& id) {
  const auto bindings = model::read_bindings(config);
  const auto name_of = [](const model::Binding& binding) {
    constexpr std::string_view kFolder = "adapters/";
    return binding.name.starts_with(kFolder) ? binding.name.substr(kFolder.size()) : binding.name;
  };
  std::vector<AdapterUse> adapters;
  for (const model::Binding& binding : bindings) {
    if (binding.persona != id || binding.is_base) continue;
    AdapterUse use;
    use.name = name_of(binding);
    std::set<std::string> others;
    for (const model::Binding& other : bindings)
      if (!other.is_base && other.persona != id && name_of(other) == use.name) others.insert(other.persona);
    if (const fs::path folder = tree.models("adapters") / use.name; is_there(folder)) {
      use.folder = folder;
      use.bytes = internal::folder_bytes(folder);
      if (is_there(folder / model::kManifestFile)) {
        use.digest = io::to_hex(io::sha256_file(folder / model::kManifestFile));
        const auto manifest = model::read_manifest(folder);
        if (manifest && !manifest->persona.empty() && manifest->persona != id) others.insert(manifest->persona);
      }
    }
    use.others.assign(others.begin(), others.end());
    adapters.push_back(std::move(use));
  }
  return adapters;
}

Details describe(const tree::Tree& tree, const tree::Config& config, const std::string& id) {
  tree::require_persona_id(id);
  auto found = survey(tree, config, id);
  if (found.empty()) tree::require_persona(config, id);  // which names the nearest
  Details details;
  details.survey = std::move(found.front());
  const std::string head = fmt::format("personas: personas.{}.", id);
  for (auto& [key, value] : config.all())
    if (key.starts_with(head)) details.configuration.emplace_back(key.substr(head.size()), value);
  details.adapters = adapters_of(tree, config, id);
  auto vectors = place_of("vectors", tree.vectors(tree::Scope::persona(id)));
  if (!vectors.target.empty()) {
    const auto map = tree::ShardMap::load(tree, config);
    for (const tree::Shard& shard : map.shards())
      if (shard.path == vectors.target.parent_path().parent_path()) vectors.shard = shard.id;
  }
  details.places.push_back(std::move(vectors));
  details.places.push_back(place_of("turns", tree.turns(id)));
  details.places.push_back(place_of("memories", tree.memories(id)));
  for (const auto& [what, path] : {std::pair<const char*, fs::path>{"conversations", session::conversations_file(tree)},
                                   {"documents", tree.registry()}}) {
    details.places.push_back(place_of(what, path));
    details.places.back().shared_with = "all personas";
  }
  if (auto change = tree::pending_change(tree); change && (change->persona == id || change->to == id))
    details.pending.push_back(*std::move(change));
  return details;
}

}  // namespace reef::persona
