#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct DiffOptions {
  std::string a;
  std::string b;
  bool read_all = false;  ///< compare bytes even where the manifests' digests say enough
  unsigned threads = 1;
};

enum class DifferenceKind {
  only_in_a,
  only_in_b,
  form,     ///< another type or shape
  content,  ///< other bytes
};

struct TensorForm {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

struct TensorDifference {
  DifferenceKind kind = DifferenceKind::content;
  std::string name;
  std::optional<TensorForm> a{};
  std::optional<TensorForm> b{};
  /// Of DifferenceKind::content:
  std::uint64_t differing_bytes = 0;
  std::optional<std::uint64_t> differing_elements{};  ///< nullopt: elements share bytes
  std::uint64_t nonfinite_elements = 0;               ///< of these, with an infinity or NaN in their difference
  std::optional<double> largest_difference{};         ///< of the others; floats of 16 bits and more
};

/// A key of the files' metadata.
struct MetadataDifference {
  std::string key;
  std::optional<std::string> a{};
  std::optional<std::string> b{};
};

struct FileDifference {
  DifferenceKind kind = DifferenceKind::content;  ///< never form
  std::string path;
};

struct ModelDiff {
  std::string a;
  std::string b;
  std::uint64_t identical_tensors = 0;
  std::uint64_t identical_bytes = 0;           ///< of these tensors, in one of the models
  std::uint64_t bytes_read = 0;                ///< of both
  std::vector<TensorDifference> tensors{};     ///< sorted by name
  std::vector<MetadataDifference> metadata{};  ///< sorted by key
  std::vector<FileDifference> files{};         ///< other than weights, sorted by path

  bool is_identical() const { return tensors.empty() && metadata.empty() && files.empty(); }
};

/// Compares two models of the tree tensor by tensor, wherever in their files the tensors lie, and their other files by
/// digest. Equal digests in the manifests, of tensors or of whole files, count as equal bytes; what has none, or
/// differs, is read by all threads past the page cache.
///
/// Throws as find_model() does, Error{corrupt} for damaged weights, Error{failed}, Error{interrupted}.
ModelDiff diff_models(const tree::Tree& tree, const DiffOptions& options, Progress& progress);

std::string to_json(const ModelDiff& diff);
std::string to_text(const ModelDiff& diff);

}  // namespace reef::model
