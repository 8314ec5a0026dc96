#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "reef/core/progress.h"
#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct ManifestOptions {
  std::string name;
  bool with_tensors = false;  ///< a digest of each tensor, too
  bool force = false;         ///< whatever a manifest says that is there
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for the lock of models/
};

struct MadeManifest {
  std::filesystem::path folder;
  Manifest manifest;
  bool has_changed = false;
};

/// Reads every file of a model's folder and writes manifest.json and manifest.chunks: for a folder that was put there
/// by hand, or whose manifest was written before chunks had digests. What a present manifest says beside digests is
/// kept; a signature that no longer fits is removed.
///
/// Throws Error{corrupt} naming the first file that is not what a present manifest says (without `force`), and for
/// damaged weights; Error{not_found}, Error{locked}, Error{interrupted}.
MadeManifest make_manifest(const tree::Tree& tree, const ManifestOptions& options, Progress& progress);

struct SignedManifest {
  std::string name;
  std::filesystem::path signature;
  bool has_changed = false;
};

/// Writes manifest.json.sig, the signature of manifest.json by the private key. Throws Error{usage} for a key that
/// cannot sign, Error{not_found}, Error{corrupt} as find_model() does, Error{locked}.
SignedManifest sign_manifest(const tree::Tree& tree, const std::string& name, const std::filesystem::path& key,
                             std::chrono::milliseconds wait);

std::string to_json(const MadeManifest& made);
std::string to_text(const MadeManifest& made);
std::string to_json(const SignedManifest& signed_manifest);
std::string to_text(const SignedManifest& signed_manifest);

}  // namespace reef::model
