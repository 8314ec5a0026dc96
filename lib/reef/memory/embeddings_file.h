#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "reef/io/sqlite.h"
#include "reef/vector/npy.h"

namespace reef::memory {

/// The one row of vector_state: whose vectors memories.embedding holds, and which of them are in embeddings.npy.
struct VectorState {
  std::string model;
  std::string model_digest;
  std::size_t dim = 0;              ///< 0: no vectors yet
  std::uint64_t rows = 0;           ///< the next vector_row; some of those below may be free (forgotten)
  std::int64_t serial = 0;          ///< grows when rows are numbered anew or vectors change
  std::int64_t written = 0;         ///< the serial of embeddings.npy
  std::uint64_t file_rows = 0;      ///< how many rows of it count
  std::optional<double> threshold;  ///< Store::duplicate_threshold()
  std::uint64_t calibrated = 0;     ///< vectors from which that was measured

  bool file_is_current() const { return written == serial; }
};

VectorState read_vector_state(io::Database& database);
void write_vector_state(io::Database& database, const VectorState& state);

/// data/memories/<persona>/embeddings.npy
std::filesystem::path embeddings_file(const std::filesystem::path& folder);

/// embeddings.npy for readers: derived, so that what it lacks is to be read from memories.embedding instead.
///
/// Begins a read transaction on `database`, in which the file's rows are those of memories.vector_row. A run that
/// writes meanwhile appends rows, makes those of forgotten memories zeros, or puts another file in its place: none of
/// it changes what this one reads.
class Embeddings {
 public:
  Embeddings(const std::filesystem::path& folder, io::Database& database);

  const VectorState& state() const { return state_; }
  /// Rows of the file: 0 when it is absent, damaged or behind.
  std::uint64_t rows() const { return matrix_ ? matrix_->rows() : 0; }
  /// rows() x dim; only when rows() is not 0.
  const vector::NpyMatrix& matrix() const { return *matrix_; }

 private:
  VectorState state_;
  std::optional<vector::NpyMatrix> matrix_;
  std::optional<io::Transaction> transaction_;
};

/// Brings embeddings.npy in step with the database; the caller holds the persona's lock and no transaction. Rows are
/// numbered anew when a quarter of them is free. `anew`: written whatever it holds.
struct VectorFileChange {
  std::uint64_t appended = 0;
  bool rewritten = false;
};
VectorFileChange update_embeddings_file(const std::filesystem::path& folder, io::Database& database, bool anew);

/// Makes rows of the file zeros, in place. Rows that it does not have are none.
void erase_rows(const std::filesystem::path& folder, const VectorState& state, std::span<const std::uint64_t> rows);

}  // namespace reef::memory
