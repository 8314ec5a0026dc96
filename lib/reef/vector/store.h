#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/vector/codes.h"
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
  std::string model;         ///< name of the embedding model
  std::string model_digest;  ///< embed::Identity::digest
};

/// SQL that makes the tables `store` and `dead_rows`; goes into the first migration of whoever
/// owns a metadata.sqlite (document chunks, session messages).
extern const char* const kStoreSchema;

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

 private:
  void open_files();
  std::uint64_t next_row() const { return vectors_ ? next_row_ : state_.rows_total; }

  std::filesystem::path folder_;
  io::Database& metadata_;
  StoreState state_;
  std::optional<NpyAppender> vectors_;
  std::optional<NpyAppender> codes_;
  std::uint64_t next_row_ = 0;  ///< after the rows that both files hold
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
  std::vector<Hit> search(std::span<const float> query, std::size_t k,
                          const std::vector<std::uint64_t>* only = nullptr) const;

 private:
  std::filesystem::path folder_;
  StoreState state_;
  NpyMatrix vectors_;
  CodeMatrix codes_;
  std::vector<std::uint64_t> dead_;
};

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

}  // namespace reef::vector
