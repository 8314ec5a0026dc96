#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/core/time.h"
#include "reef/embed/embedder.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/memory/recency.h"
#include "reef/memory/statement.h"
#include "reef/tree/tree.h"

namespace reef::memory {

namespace internal {
struct Neighbour;
struct Scan;
class Scanner;
}  // namespace internal

/// What is named in a memory: "Lisbon", a "place". Names are compared byte by byte: whoever finds them spells them
/// alike.
struct Entity {
  std::string name;
  std::string kind;
};

/// The message that said it.
struct Source {
  std::int64_t message = 0;
  std::string session;
  std::string external_id;  ///< empty: none
};

/// What is to be remembered.
struct NewMemory {
  std::string content;
  std::string speaker;               ///< empty: nobody in particular
  std::span<const float> embedding;  ///< a unit row of the model in use_embedder(); empty: none yet
  double importance = .5;            ///< cut to 0…1
  Time created_at{};
  std::optional<Source> source;
  std::vector<std::string> tags;
  std::vector<Entity> entities;             ///< the first kMostEntities count
  std::optional<double> valence;            ///< -1…1, as VADER's compound score; none: nobody looked
  std::optional<double> arousal;            ///< 0…1; none: |valence|
  bool even_if_forgotten = false;           ///< somebody asks for it again: lifts what forgot it
  const internal::Scan* scanned = nullptr;  ///< of `embedding`, by Store::scanner()
};
inline constexpr std::size_t kMostEntities = 32;

enum class Outcome {
  added,
  merged,     ///< it was known: its source, tags and entities went to that memory
  updated,    ///< added, and an older memory is superseded by it ("my X is Y")
  forgotten,  ///< somebody had it forgotten: nothing was stored
};

struct Remembered {
  Outcome outcome = Outcome::added;
  std::int64_t id = 0;             ///< the memory; of a merge the one that was there; 0 when forgotten
  std::int64_t superseded = 0;     ///< the newest that this one takes the place of
  std::int64_t superseded_by = 0;  ///< said before what is known already: it is kept as the past
  bool changed = true;             ///< false: a merge that brought nothing new
};

/// The memory nearest to a vector.
struct Nearest {
  std::int64_t id = 0;
  float cosine = 0;
};

struct StoreOptions {
  std::chrono::milliseconds wait{0};      ///< for the lock of another run
  double half_life_days = kHalfLifeDays;  ///< memory.half_life_days
  std::optional<Time> now = {};           ///< that recency is of; none: the clock's
  /// Whether the run is there for what was forgotten to leave the databases: it waits some seconds for who reads them,
  /// and keeps writers of conversations waiting while it writes a large file anew. Else that stays due.
  bool purges = false;
};

/// What finish_run() did.
struct FinishReport {
  std::uint64_t memories = 0;
  std::uint64_t vectors = 0;
  std::uint64_t appended = 0;      ///< rows of embeddings.npy
  bool rewritten = false;          ///< all of embeddings.npy
  std::uint64_t refreshed = 0;     ///< recencies that were out of date
  std::vector<std::string> files;  ///< names of derived files that changed
  bool words_purged = true;        ///< else what was forgotten is in files still: the next run tries again
  std::string not_purged;          ///< why, and what to do
};

/// The long-term memory of one persona, for writing. One Store at a time: it holds data/memories/<persona>/.lock.
///
///   Store store(tree, "alice");
///   store.use_embedder(embedder, threads, progress);        // once, before vectors are compared
///   Transaction t(store.database()); …store.remember(memory)…; t.commit();   // as often as wanted
///   store.finish_run();                                     // derived files, recency
///
/// The database is the truth. A run that was killed before finish_run() has lost nothing: the next one brings the
/// derived files in step. After a transaction that was rolled back, call reload().
class Store {
 public:
  /// Made when absent. Throws Error{locked} with the pid of the run that holds it after `wait`, and as open_memories().
  Store(const tree::Tree& tree, const std::string& persona, const StoreOptions& options = {});
  ~Store();

  io::Database& database() { return database_; }
  const std::string& persona() const { return persona_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Names whose vectors the store has. All memories are embedded anew when they had another model's (in one
  /// transaction at the end: what they had serves until then), those without a vector are embedded in any case. What a
  /// message said is embedded with what stood before it (session::TurnPassages), as consolidate() does. Returns how
  /// many were. Call it outside a transaction.
  std::uint64_t use_embedder(embed::Embedder& embedder, unsigned threads, Progress& progress);

  /// The nearest of what may be near (internal::Neighbours): the newest 16,384 memories are all compared. `content`
  /// leads to older ones. None: no memory has a vector.
  std::optional<Nearest> nearest(std::span<const float> vector, std::string_view content = {},
                                 const internal::Scan* scanned = nullptr);
  /// For nearest() and remember() of many vectors to begin from. What it finds is good until reload() or finish_run();
  /// other threads may scan while this one remembers.
  internal::Scanner scanner();
  /// Whether few memories were added since, so that it is worth beginning from.
  bool is_recent(const internal::Scan& scan);

  /// Inside the caller's transaction. Throws Error{usage} for a text without a character, Error{failed} for a vector
  /// that is no unit row of the model.
  ///
  /// The same text (folded; of one speaker, or saying neither "I" nor "you") is merged. So is one whose cosine is at
  /// least duplicate_threshold(), with the same figures, days, negations and entities. What says another value of the
  /// same attribute of the same speaker supersedes: the newer by created_at is valid, whichever came first.
  Remembered remember(const NewMemory& memory);
  /// Whether that message, that text, or that text of that speaker was forgotten on request.
  bool is_forgotten(std::optional<std::int64_t> message, std::string_view speaker, std::string_view content);

  /// Cosine from which two texts may say the same: half way from what random pairs of the store reach (their .999
  /// quantile) to 1, .95 at least; .98 below 256 vectors, where that quantile says nothing. Measured anew each time
  /// that the number of vectors has doubled. Of pairs of STS-B at .95, 49 of 54 agree in figures and negation by
  /// all-MiniLM-L6-v2, and people gave 47 of those 4 or 5 of 5 points, and the other two more than 3.
  double duplicate_threshold();

  /// Recency anew; the SearchMap, embeddings.npy, relationships.json and emotional_state.json in step with the
  /// memories; also what a killed run left to do. Outside a transaction. `anew`: the files are written whatever they
  /// hold.
  FinishReport finish_run(bool anew = false);

  /// The database changed under the store: reads it again at need.
  void reload();

 private:
  struct Loaded;

  Loaded& loaded();
  bool is_hash_forgotten(std::optional<std::int64_t> message, const std::string& content, const std::string& said);
  void require_unit_row(std::span<const float> vector) const;
  bool stayed_so(const std::optional<Attribute>& said, const std::optional<Attribute>& known, Time when,
                 const std::string& known_time);
  std::optional<std::int64_t> find_same_text(const NewMemory& memory, const Statement& statement,
                                             const std::string& hash);
  std::optional<std::int64_t> find_same_meaning(const NewMemory& memory, const Statement& statement,
                                                std::span<const std::int64_t> entities,
                                                std::span<const internal::Neighbour> near);
  std::int64_t insert(const NewMemory& memory, const std::optional<Attribute>& attribute, const std::string& hash);
  bool merge_into(std::int64_t id, const NewMemory& memory);

  tree::Tree tree_;
  std::filesystem::path folder_;
  std::string persona_;
  StoreOptions options_;
  io::LockFile lock_;
  io::Database database_;
  std::unique_ptr<Loaded> loaded_;
};

/// Throws Error{usage} for a text without a character.
void require_text(std::string_view content);

/// Counts one access to each, now. One transaction that waits for nobody: given up in silence when the database is
/// locked, read-only or gone.
void touch(const tree::Tree& tree, const std::string& persona, std::span<const std::int64_t> ids) noexcept;

/// Of a text that one speaker says: where it is forgotten, others may have said the same.
std::string said_hash(std::string_view speaker, std::string_view content);

/// "M12".
std::string shown_id(std::int64_t id);
/// Reads "M12", "m12" or "12"; Error{usage} for anything else.
std::int64_t parse_id(const std::string& text);

}  // namespace reef::memory
