#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "reef/core/progress.h"
#include "reef/document/given_vectors.h"
#include "reef/document/internal/given_rows.h"
#include "reef/document/stores.h"
#include "reef/vector/foreign_npy.h"

namespace reef::document::internal {

/// The two files of a run, read in batches.
struct Given {
  /// Throws what GivenRows and ForeignNpy do, and Error{failed} unless both have as many rows.
  explicit Given(const GivenOptions& options);

  /// The next rows; none at the end.
  void next_batch();
  std::span<const float> vector(std::size_t i) const {
    return std::span(values).subspan(i * vectors.dim(), vectors.dim());
  }

  vector::ForeignNpy vectors;
  GivenRows texts;
  std::uint64_t first = 0;
  std::vector<GivenRow> rows;
  std::vector<float> values;  ///< rows x dim
};

/// What the store holds under an id.
struct Held {
  std::int64_t document = 0;
  std::string sha256;
  std::string source;
  std::optional<std::uint64_t> vector_row;
};

/// Looks the documents of a store up by id.
class GivenDocuments {
 public:
  explicit GivenDocuments(Store& store);
  std::optional<Held> find(const std::string& name);
  /// Whether text, fields and vector are those that a row gives.
  bool is_same(const Held& held, const GivenRow& row, std::span<const float> vector);

 private:
  Store& store_;
  io::Statement find_;
  std::optional<vector::NpyMatrix> vectors_;  ///< opened at the first comparison
};

/// Takes all rows into the parts of a scope; within the caller's transactions.
class GivenIntake {
 public:
  GivenIntake(Stores& stores, Given& given, GivenReport& report, Progress& progress);
  /// Throws Error{failed} for a row that cannot be taken, naming its line.
  void run();

 private:
  struct Part {
    std::optional<GivenDocuments> documents;
    std::vector<WholeDocument> chosen;
    std::vector<float> values;  ///< of the chosen
    std::vector<bool> seen;     ///< documents that this run added or left as they are: one bit each
    bool changed = false;

    bool was_seen(std::int64_t document) const;
    void mark_seen(std::int64_t document);
  };

  void choose();
  void write();
  WholeDocument document_of(GivenRow& row, const std::optional<Held>& held) const;
  [[noreturn]] void refuse(const GivenRow& row, const std::string& why, const std::string& hint) const;

  Stores& stores_;
  Given& given_;
  GivenReport& report_;
  Progress& progress_;
  std::vector<Part> parts_;
  std::string source_;
  std::string now_;
  std::unordered_set<std::string> names_;  ///< of the batch
};

}  // namespace reef::document::internal
