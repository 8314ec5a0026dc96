#include "reef/memory/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/exports.h"
#include "reef/memory/internal/loaded.h"
#include "reef/memory/internal/purge.h"
#include "reef/memory/schema.h"
#include "reef/memory/search_map.h"
#include "reef/memory/store.h"
#include "reef/vector/store.h"

namespace reef::memory {
namespace {

constexpr const char* kRestore = "restore it from a backup";
constexpr const char* kExport = "mend it: 'reef-memory export'";
constexpr const char* kNextRun = "the next run mends it: 'reef-memory export'";

class Check {
 public:
  Check(const tree::Tree& tree, const std::string& persona, VerifyReport& report)
      : folder_(tree.memories(persona)), file_(memories_file(tree, persona)), persona_(persona), report_(report) {}

  void run() {
    report_.personas.push_back(persona_);
    try {
      database_ = io::Database(file_, io::OpenMode::read);
      io::require_version(database_, kMemoriesVersion);
    } catch (const Error& error) {
      // Another program's version is no reason to leave the other personas unchecked.
      if (error.code() != Errc::corrupt && error.code() != Errc::usage) throw;
      add("memories.sqlite", error.what(), error.code() == Errc::corrupt ? kRestore : error.hint());
      return;
    }
    if (const std::string broken = database_.integrity(); !broken.empty()) {
      add("memories.sqlite", "SQLite: " + broken, kRestore);
      return;
    }
    const bool is_indexed = check_text_index();
    check_rows();
    check_attributes();
    check_vectors();
    if (is_indexed) check_search_map();  // it counts the words of the index
    check_exports();
    check_leftovers();
    report_.memories += number("SELECT count(*) FROM memories");
    report_.vectors += number("SELECT count(embedding) FROM memories");
  }

 private:
  void add(std::string file, std::string what, std::string next_step) {
    report_.faults.push_back({persona_, std::move(file), std::move(what), std::move(next_step), false});
  }
  void add_mending(std::string file, std::string what) {
    report_.faults.push_back({persona_, std::move(file), std::move(what), kNextRun, true});
  }
  std::uint64_t number(const char* sql) {
    auto statement = database_.prepare(sql);
    statement.step();
    return static_cast<std::uint64_t>(statement.integer(0));
  }
  /// what: as one says it of any number of them.
  void count_faults(const char* sql, const char* what, const char* next_step) {
    if (const auto count = number(sql); count > 0)
      add("memories.sqlite", fmt::format("{}: {}", what, count), next_step);
  }

  bool check_text_index() {
    // FTS5's own check writes nothing, but is an INSERT: it needs a connection that may write.
    io::Database writable;
    try {
      writable = io::Database(file_, io::OpenMode::write);
      writable.execute("PRAGMA trusted_schema = ON");
    } catch (const Error&) {
      log_step("{}: cannot be written, so FTS5 cannot check its index", io::shown(file_));
    }
    try {
      if (writable) writable.execute("INSERT INTO memories_fts(memories_fts, rank) VALUES ('integrity-check', 1)");
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      add("memories.sqlite", "the full text does not match the memories", kExport);
      return false;
    }
    return true;
  }

  void check_rows() {
    count_faults("SELECT count(*) FROM pragma_foreign_key_check", "rows that refer to what is not there", kRestore);
    count_faults("SELECT count(*) FROM decisions WHERE memory IS NOT NULL AND memory NOT IN (SELECT id FROM memories)",
                 "decisions that name memories that are not there", kRestore);
    count_faults("SELECT count(*) FROM entities WHERE id NOT IN (SELECT entity FROM memory_entities)",
                 "entities in no memory", kExport);
    auto foreign = database_.prepare("SELECT count(*) FROM memories WHERE persona_id <> ?");
    foreign.bind(1, persona_).step();
    if (foreign.integer(0) > 0)
      add("memories.sqlite", fmt::format("memories of another persona: {}", foreign.integer(0)), kRestore);
    std::uint64_t other_hash = 0;
    std::vector<std::int64_t> forgotten;
    auto tombstone = database_.prepare(
        "SELECT 1 FROM tombstones WHERE content_hash IN (?1, ?2) "
        "OR message IN (SELECT message FROM memory_sources WHERE memory = ?3)");
    auto row = database_.prepare("SELECT content, content_hash, ifnull(speaker, ''), id FROM memories ORDER BY id");
    while (row.step()) {
      check_interrupt();
      other_hash += content_hash(row.text(0)) != row.text(1) ? 1 : 0;
      tombstone.reset().bind(1, row.text(1)).bind(2, said_hash(row.text(2), row.text(0))).bind(3, row.integer(3));
      if (tombstone.step()) forgotten.push_back(row.integer(3));
    }
    tell_forgotten(forgotten);
    if (other_hash > 0)
      add("memories.sqlite", fmt::format("memories whose texts are not those of their hashes: {}", other_hash),
          kRestore);
    if (internal::purge_is_due(database_))
      add_mending("memories.sqlite", "words of what was forgotten may still be in the files");
  }

  void tell_forgotten(const std::vector<std::int64_t>& ids) {
    constexpr std::size_t kNamed = 10;
    if (ids.empty()) return;
    std::string names;
    for (std::size_t i = 0; i < std::min(kNamed, ids.size()); ++i) names += " " + shown_id(ids[i]);
    add("memories.sqlite",
        fmt::format("{} memories are there that were to be forgotten:{}{}", ids.size(), names,
                    ids.size() > kNamed ? " ..." : ""),
        fmt::format("'reef-memory forget{} --persona {}'", names, persona_));
  }

  /// What of an attribute is valid is decided by times alone.
  void check_attributes() {
    count_faults(
        "SELECT count(*) FROM memories a JOIN memories b ON b.slot = a.slot AND b.slot_value <> a.slot_value "
        "WHERE a.superseded_by IS NULL AND b.superseded_by IS NULL",
        "pairs of valid memories that say different things of one attribute", kRestore);
    count_faults("SELECT count(*) FROM memories WHERE (superseded_by IS NULL) <> (valid_to IS NULL)",
                 "memories superseded without an end, or ended without a successor", kRestore);
  }

  void check_vectors() {
    VectorState state;
    try {
      state = read_vector_state(database_);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      add("memories.sqlite", error.what(), kRestore);
      return;
    }
    if (state.dim == 0) return;
    const Embeddings file(folder_, database_);
    if (state.file_is_current() && state.file_rows > 0 && file.rows() == 0)
      add_mending("embeddings.npy", "it is gone or damaged");
    else if (!state.file_is_current() || state.file_rows < state.rows)
      add_mending("embeddings.npy", "it lags behind the database");
    std::vector<bool> used(file.rows());
    std::uint64_t no_unit = 0, other = 0, numbered = 0;
    auto row = database_.prepare("SELECT vector_row, embedding FROM memories WHERE embedding IS NOT NULL");
    while (row.step()) {
      check_interrupt();
      const auto vector = internal::floats_of(row.blob(1));
      if (vector.size() != state.dim || !vector::is_unit(vector)) ++no_unit;
      const auto at = static_cast<std::uint64_t>(row.integer(0));
      if (row.is_null(0) || at >= state.rows) {
        ++numbered;
      } else if (at < used.size()) {
        used[at] = true;
        const auto stored = file.matrix().row(at);
        if (!std::ranges::equal(internal::bytes_of(stored), row.blob(1))) ++other;
      }
    }
    const bool erased = !internal::purge_is_due(database_);  // else that is told already
    for (std::size_t i = 0; erased && i < used.size(); ++i) {
      if (used[i]) continue;
      const auto stored = file.matrix().row(i);
      if (std::any_of(stored.begin(), stored.end(), [](float x) { return x != 0; })) ++other;
    }
    if (no_unit > 0)
      add("memories.sqlite", fmt::format("vectors that are no unit vectors of {} dimensions: {}", state.dim, no_unit),
          kRestore);
    if (numbered > 0) add("memories.sqlite", fmt::format("vectors without a row: {}", numbered), kRestore);
    if (other > 0)
      add("embeddings.npy", fmt::format("rows that are not those of the database: {}", other),
          "write it anew: 'reef-memory export'");
  }

  void check_search_map() {
    try {
      const auto stored = stored_search_map(database_);
      if (!stored) return;  // a search makes it
      const SearchMap made = make_search_map(database_);
      const auto speaker = [](const SearchMap& map, const session::Turn& turn) {
        return turn.speaker == 0 ? std::string() : map.turns.speakers()[turn.speaker - 1];
      };
      const auto same = [&](const session::Turn& a, const session::Turn& b) {
        return a.id == b.id && a.previous == b.previous && a.next == b.next && a.words == b.words &&
               a.importance == b.importance && speaker(*stored, a) == speaker(made, b);
      };
      if (stored->rows == made.rows && std::ranges::equal(stored->turns.turns(), made.turns.turns(), same)) return;
      add("memories.sqlite", "the map for searches does not match the memories", kExport);
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      add("memories.sqlite", error.what(), kExport);
    }
  }

  void check_exports() {
    for (const auto& [name, content] : json_exports(database_, persona_))
      if (!holds(folder_ / name, content)) add_mending(name, "it does not say what the database does");
  }

  void check_leftovers() {
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      if (io::is_temporary_name(entry.path().filename().string()))
        add_mending(entry.path().filename().string(), "a run that was killed left it");
  }

  std::filesystem::path folder_, file_;
  std::string persona_;
  VerifyReport& report_;
  io::Database database_;
};

}  // namespace

VerifyReport verify(const tree::Tree& tree, const std::vector<std::string>& personas, std::chrono::milliseconds wait,
                    Progress& progress) {
  VerifyReport report;
  progress.begin("checking memories", personas.size(), ProgressUnit::items);
  for (const std::string& persona : personas) {
    std::error_code unreadable;
    if (std::filesystem::exists(memories_file(tree, persona), unreadable)) {
      const auto lock = io::LockFile::for_reading(tree.memories(persona) / ".lock", wait);
      Check(tree, persona, report).run();
    }
    progress.advance(1);
  }
  progress.end();
  return report;
}

}  // namespace reef::memory
