#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/io/mapped_file.h"
#include "reef/io/sqlite.h"
#include "reef/vector/codes.h"
#include "reef/vector/faiss_helper.h"
#include "reef/vector/hnsw_search.h"
#include "reef/vector/npy.h"
#include "reef/vector/scan.h"

namespace reef::vector {

/// The commit point of a vector store: the one row of table `store` in its metadata.sqlite.
/// A reader takes names and counts from it inside a read transaction and never looks past them.
struct StoreState {
  std::int64_t generation = 0;   ///< grows with every rebuild; part of the file names
  std::string vectors_file;      ///< "vectors.1.npy"; empty while the store has no vectors
  std::string codes_file;        ///< "codes.1.npy"
  std::uint64_t rows_total = 0;  ///< committed rows
  std::size_t dim = 0;
  std::string model;               ///< name of the embedding model
  std::string model_digest;        ///< embed::Identity::digest; empty: the vectors were given under that name
  std::string index_file;          ///< "index.3.bin"; empty while there is no index
  std::uint64_t rows_indexed = 0;  ///< the first rows, which the index knows; those behind are scanned
  std::string index_sha256;
  std::string index_factory;     ///< what FAISS's index_factory made it of; empty for a graph of reef's
  bool index_by_floats = false;  ///< codes lose too much: the graph was built over floats, which scans read as well
  double index_recall = .95;     ///< asked for when it was built; rebuilds that nobody asked for keep to it
};

/// Whether vectors of both can stand beside one another. A digest that is absent is that of any model of the name.
bool are_of_one_model(const StoreState& a, const StoreState& b);

/// What stands behind index_file: a graph over codes with one step for all dimensions, one over floats that keeps codes
/// with a step for each, or what a factory string asked for.
enum class IndexKind { none, graph, float_graph, factory };
IndexKind index_kind(const StoreState& state);
/// "none", "graph", "float-graph" or "factory".
const char* index_kind_name(IndexKind kind);

/// SQL that makes the tables `store` and `dead_rows`; goes into the first migration of whoever
/// owns a metadata.sqlite (document chunks, session messages).
extern const char* const kStoreSchema;
/// The migration that adds the graph to it.
extern const char* const kIndexSchema;

StoreState read_state(io::Database& metadata);

/// Appends vectors to one store. The caller holds the store's lock and brackets its own rows and
/// commit() in one transaction:
///
///   StoreWriter writer(folder, metadata);      // cuts what a killed run left
///   const auto first = writer.append(vectors); // rows + fsync; invisible so far
///   Transaction t(metadata); …insert chunks with vector_row…; writer.commit(); t.commit();
///   writer.publish();
///
/// A writer whose transaction was rolled back is to be thrown away: it still holds the rows that
/// nothing refers to. The next one cuts them.
class StoreWriter {
 public:
  /// Makes codes.<g>.npy again when it is missing, short or damaged. Throws Error{corrupt} when
  /// vectors.<g>.npy holds fewer rows than are committed, or others.
  StoreWriter(std::filesystem::path folder, io::Database& metadata);

  const StoreState& state() const { return state_; }
  /// Names the model on the first vectors; afterwards Error{usage} when another one is asked for,
  /// saying both names and what to do.
  void use_model(const std::string& name, const std::string& digest, std::size_t dim);
  /// Begins the next generation, of which append() writes the rows: the files of the present one stay as they are, and
  /// are read, until commit(). The caller removes the dead rows and gives its own rows new numbers in that transaction.
  void begin_again(const std::string& name, const std::string& digest, std::size_t dim);
  /// After a failure, when nothing is left to be done with this writer: removes the files of a generation that was
  /// begun and not committed. Never throws; what stays goes with the next run.
  void abandon() noexcept;
  /// n x dim unit rows, durable on return but not yet counted. Returns the first row's number.
  /// Throws Error{failed} for a row that is not finite or not of unit length. Costs four fsyncs
  /// whatever n is: hand over hundreds of rows at once.
  std::uint64_t append(std::span<const float> rows);
  /// Counts the appended rows; inside the caller's transaction.
  void commit();
  /// Marks rows as dead; inside the caller's transaction.
  void remove(std::span<const std::uint64_t> rows);
  /// After the transaction: the plain names vectors.npy and codes.npy (hard links, symbolic links
  /// where the filesystem refuses) and config.json. Idempotent: repairs what a killed run left.
  void publish();

  /// Takes over what rebuild() wrote: names and counts, no dead rows any more. Inside the transaction in which the
  /// caller gives its rows their new numbers.
  void adopt(const StoreState& rebuilt);
  /// After adopt() in a transaction that was rolled back: the state is again what the database says.
  void reload();
  /// Removes files of generations that the commit point does not name.
  void remove_unnamed();
  const std::filesystem::path& folder() const { return folder_; }
  io::Database& metadata() { return metadata_; }

 private:
  void open_files();
  void begin_at(const StoreState& state);
  std::uint64_t next_row() const { return vectors_ ? next_row_ : state_.rows_total; }

  std::filesystem::path folder_;
  io::Database& metadata_;
  StoreState state_;
  std::optional<NpyAppender> vectors_;
  std::optional<NpyAppender> codes_;
  std::uint64_t next_row_ = 0;  ///< after the rows that both files hold
};

/// What a sample of a store's own rows says of its index, each asked for its 10 nearest; 1 is exact search.
struct RecallSample {
  std::size_t questions = 0;
  double codes = 0;  ///< of all 8-bit codes with one step, the best 40 scored anew in float: what the codes lose
  double graph = 0;  ///< of the index that was made, at its stored width, scored anew in the same way
};

struct RebuildOptions {
  unsigned threads = 1;
  bool with_graph = true;
  std::string factory = {};  ///< of FAISS's index_factory; empty: a graph of reef's
  /// Where codes with one step lose more than this allows, the graph is built over floats.
  double recall = StoreState().index_recall;
};

/// A generation that was written and is not committed yet.
struct Rebuilt {
  StoreState state;
  /// Old numbers of the rows that were kept, ascending; empty when all were and no row was moved.
  std::vector<std::uint64_t> kept;
  std::uint64_t removed = 0;  ///< rows that are gone
  std::optional<RecallSample> recall;
  /// Where codes lost more than was allowed: how much, and what was done. Otherwise empty.
  std::string codes_lose;
};

/// Writes the next generation of a store beside the present one, which readers go on reading: rows that were removed
/// are left out, and the index is built anew over all that are left. Durable on return; nothing refers to it before
/// StoreWriter::adopt(). Throws Error{usage} for a factory that FAISS does not know, Error{failed} for one that it
/// cannot make of these rows, Error{not_found} when reef-faiss is missing; then nothing of the new generation is left.
Rebuilt rebuild(StoreWriter& store, const RebuildOptions& options, Progress& progress);

/// Whether a graph finds a question's neighbours in less time than a scan.
bool is_large_enough(const StoreState& state);

/// Whether rebuild() is due: the tail is long or many rows are dead, and the store is large enough for a graph.
bool rebuild_is_due(const StoreState& state, std::uint64_t dead_rows);

struct SearchOptions {
  const std::vector<std::uint64_t>* only = nullptr;  ///< rows that may be found, ascending; null: all
  std::size_t ef = 0;                                ///< width of a graph's search; 0: what the index says
  bool without_graph = false;                        ///< scan everything
  bool always_index = false;                         ///< ask the graph even where a scan costs less: to measure it
};

/// The committed rows of one store, for searching. Open it inside the read transaction that also
/// reads the rows' texts.
class StoreReader {
 public:
  StoreReader(std::filesystem::path folder, io::Database& metadata);

  const StoreState& state() const { return state_; }
  bool empty() const { return state_.rows_total == 0; }
  std::span<const std::uint64_t> dead() const { return dead_; }
  std::span<const float> row(std::uint64_t i) const { return vectors_.row(i); }
  /// The nearest `k` rows, best first, with exact scores. Rows of the index are found by it, or by a scan where the
  /// filter leaves so few that this costs less, or the index cannot be read; rows behind it are scanned.
  std::vector<Hit> search(std::span<const float> query, std::size_t k, const SearchOptions& options = {});
  /// The same in float over all rows: what search() is measured against.
  std::vector<Hit> search_exactly(std::span<const float> query, std::size_t k) const;
  /// What could not be opened, so that searches take longer: one sentence each. What the first search that needs it
  /// finds missing is added, and logged as a warning.
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  const HnswFile& graph();
  std::optional<std::vector<Hit>> walk_graph(std::span<const float> query, std::size_t k, std::uint64_t findable,
                                             const SearchOptions& options);
  std::optional<std::vector<Hit>> ask_faiss(std::span<const float> query, std::size_t k, std::uint64_t findable,
                                            bool filtered);
  std::optional<std::vector<Hit>> candidates(std::span<const float> query, std::size_t k, const SearchOptions& options);
  void give_index_up(const Error& error);

  std::filesystem::path folder_;
  StoreState state_;
  NpyMatrix vectors_;
  CodeMatrix codes_;
  std::vector<std::uint64_t> dead_;
  std::vector<std::string> missing_;
  io::MappedFile index_map_;  ///< opened with the others, read at the first search that wants it
  std::unique_ptr<HnswFile> index_;
  std::unique_ptr<HnswSearch> walk_;
  std::unique_ptr<FaissSearch> faiss_;
  bool index_gone_ = false;
};

/// The committed rows as the caller's read transaction sees them. A rebuild may take the files away between the look at
/// their names and their opening: the transaction then begins anew, and the next one names others. What is missing is
/// logged. Throws as StoreReader() does.
StoreReader open_reader(const std::filesystem::path& folder, io::Database& database, io::Transaction& transaction);

/// The model that config.json of a store names; empty where it names none. Takes microseconds, and may lag behind the
/// commit point: for what can be begun before that was read.
std::string hinted_model(const std::filesystem::path& folder);

/// Whether a row counts as a unit vector: | ‖row‖ - 1 | < .001. False for one that is not finite.
bool is_unit(std::span<const float> row);

/// One finding of verify: what is wrong in which file, and whether the next run mends it.
struct StoreFault {
  std::string file;
  std::string what;
  bool mends_itself = false;
  std::string next_step;  ///< of one that does not
};

/// Compares the files with the commit point: existence, shapes, dimension, rows, unit length and
/// finiteness of every row, codes against vectors, plain names, config.json. The caller holds the
/// store's lock: rows that another run is appending look like those a killed run left.
std::vector<StoreFault> verify_store(const std::filesystem::path& folder, io::Database& metadata);

/// What stock FAISS, asked through reef-faiss, makes of a store's index.
struct FaissComparison {
  std::string file;
  bool by_factory = false;
  std::uint64_t rows = 0;     ///< as FAISS counts them
  std::size_t questions = 0;  ///< rows of the store, evenly over it
  /// Of a graph: the share of the ten nearest by codes that FAISS and HnswSearch both find, or that tie. Of what a
  /// factory string made: the share of questions that find their own row among the ten nearest.
  double agreement = 0;
  std::vector<StoreFault> faults;
};

/// nullopt where there is no index. Throws Error{corrupt} when vectors.npy cannot be read; all that is wrong with the
/// index is among the faults.
std::optional<FaissComparison> compare_with_faiss(const std::filesystem::path& folder, io::Database& metadata);

}  // namespace reef::vector
