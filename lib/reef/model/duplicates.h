#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/model/bindings.h"
#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct DuplicatesOptions {
  std::vector<std::string> names{};  ///< none: all models
  std::uint64_t min_bytes = 4096;    ///< smaller tensors and files are left out
  unsigned threads = 1;
  std::vector<Binding> bindings{};  ///< of personas.yaml: whose adapters they are, beside what manifests say
};

struct DuplicateCopy {
  std::string model;
  Kind kind = Kind::base;
  std::vector<std::string> personas;  ///< whose adapter it is
  std::string file;
  std::string tensor;  ///< empty for a file
};

/// Tensors, or files, of the same bytes.
struct DuplicateGroup {
  std::string sha256;
  std::uint64_t bytes = 0;            ///< of one
  std::string dtype;                  ///< of one of the copies; empty for files
  std::vector<std::uint64_t> shape;   ///< likewise
  std::vector<DuplicateCopy> copies;  ///< by kind, model, file and tensor
  /// If one were kept: of tensors, what goes beyond sharing equal files.
  std::uint64_t saved_bytes = 0;
};

struct SkippedModel {
  std::string name;
  Kind kind = Kind::base;
  std::string why;
};

struct DuplicatesReport {
  std::uint64_t models = 0;
  std::uint64_t tensors = 0;  ///< of at least min_bytes
  std::uint64_t min_bytes = 0;
  std::uint64_t bytes_read = 0;               ///< for digests that no manifest has
  std::vector<DuplicateGroup> file_groups{};  ///< most saved bytes first, as the next
  std::vector<DuplicateGroup> tensor_groups{};
  std::vector<SkippedModel> skipped{};  ///< without a usable manifest or with damaged weights

  std::uint64_t saved_bytes() const;
};

/// Finds equal tensors and files across models, by the SHA-256 of the manifests; tensors without one are read, past the
/// page cache, if another one has their size and looks alike in samples. Changes nothing.
///
/// Throws Error{not_found} as find_model() does for a name, Error{failed}, Error{interrupted}.
DuplicatesReport find_duplicates(const tree::Tree& tree, const DuplicatesOptions& options, Progress& progress);

std::string to_json(const DuplicatesReport& report);
std::string to_text(const DuplicatesReport& report);

}  // namespace reef::model
