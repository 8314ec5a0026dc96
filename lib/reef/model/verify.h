#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/model/bindings.h"
#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct VerifyOptions {
  std::vector<std::string> names{};            ///< none: all models
  double sample = 1;                           ///< share of the chunks that are read, chosen anew each time
  std::vector<std::string> tensors{};          ///< only the chunks that hold them
  std::optional<std::filesystem::path> key{};  ///< manifests must carry a signature of this key
  bool restart = false;                        ///< do not go on where an interrupted run stopped
  unsigned threads = 1;
  std::vector<Binding> bindings{};  ///< whose models must be there

  bool reads_all() const { return sample >= 1 && tensors.empty(); }
};

struct FaultyChunk {
  std::uint64_t number = 0;  ///< of kChunkBytes each
  std::uint64_t begin = 0;   ///< in the file
  std::uint64_t end = 0;     ///< one past the last byte
  std::vector<std::string> tensors;
};
struct VerifyFault {
  std::string file;  ///< relative to the folder; empty: the model as a whole
  std::string what;  ///< "sha256 is 9f…, manifest says 41…"
  std::optional<FaultyChunk> chunk{};

  /// "model.safetensors, chunk 17 (bytes 35651584-37748735, layers.3.mlp.up_proj): sha256 is …"
  std::string text() const;
};
struct VerifiedModel {
  std::string name;
  Kind kind = Kind::base;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;          ///< read and hashed
  std::uint64_t bytes_earlier = 0;  ///< by the interrupted run that this one went on with
  std::vector<VerifyFault> faults;
};
struct VerifyReport {
  std::vector<VerifiedModel> models;
  std::vector<Binding> missing;  ///< those of the options whose model is not there; each is a fault
  bool is_partial = false;       ///< a sample, or named tensors alone
  double seconds = 0;

  std::uint64_t faults() const;
  std::uint64_t bytes() const;
  /// "gemma-3-4b: model.safetensors: sha256 is …", of models before bindings; empty when there is none.
  std::string first_fault() const;
  /// What to do about it.
  std::string hint() const;
};

/// Compares the models named with their manifests: every byte (or those of the options), size, missing and foreign
/// files, signatures, and the rules of the formats of weights; looks for the models of the bindings. What has chunk
/// digests is read in parallel and past the page cache, or where it lies in it.
///
/// A run over all bytes that is interrupted leaves what it found sound in cache/verify; a run within a day goes on
/// there, as long as manifest and files are the same.
///
/// Throws Error{not_found} for an unknown name or tensor, Error{usage} for a key that is none, Error{interrupted}.
VerifyReport verify_models(const tree::Tree& tree, const VerifyOptions& options, Progress& progress);

std::string to_json(const VerifyReport& report);
std::string to_text(const VerifyReport& report);

}  // namespace reef::model
