#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/model/manifest.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct ImportOptions {
  std::filesystem::path source{};  ///< a model folder, a Hugging Face cache folder, a GGUF file, a wheel
  std::optional<Kind> kind{};      ///< absent: told by the model's own files
  std::string name{};              ///< empty: the source's
  std::string origin{};            ///< for the manifest: where it came from; empty: as the source says
  std::string manifest_sha256{};   ///< of a folder: what its manifest.json must be, and nothing beside what that lists
  std::string persona{};           ///< for an adapter: whose it is; personas.yaml then lists it
  bool force = false;              ///< replace another model of the same name
  bool links = false;  ///< the source is on the filesystem of the tree and nobody writes to it: no bytes are copied
  bool dry_run = false;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for the lock of models/
};

enum class ImportAction {
  create,   ///< the name was free
  none,     ///< the same bytes are there already
  repair,   ///< the same model is there, damaged
  replace,  ///< another model was there (--force)
};

struct ImportResult {
  ImportAction action = ImportAction::create;
  bool dry_run = false;
  std::filesystem::path folder;
  Manifest manifest;            ///< without digests in a dry run of a model that is not there yet
  std::uint64_t unaligned = 0;  ///< tensors that cannot be used in place
  std::string persona;          ///< of the options; the manifest of an adapter that was there names its first one
  bool binds = false;           ///< the adapter's name comes into the persona's list in personas.yaml
};

/// Copies a model into the tree: its own files only, never code. Everything is checked in a staged
/// folder beside the target (safetensors rules, shard index, a manifest that came along) and
/// published by one rename, so that a kill, a full disk or a fault leaves models/ as it was. An adapter
/// is bound to its persona afterwards; where that failed, the next import of the same does it.
///
/// Throws Error{usage} for a source that is no model and for a name that is taken by
/// other bytes; Error{corrupt} for damaged weights; Error{failed} when the disk cannot hold it;
/// Error{not_found} for an unknown persona; Error{locked}, Error{interrupted}.
ImportResult import_model(const tree::Tree& tree, const tree::Config& config, const ImportOptions& options,
                          Progress& progress);

std::string to_json(const ImportResult& result);
std::string to_text(const ImportResult& result);

}  // namespace reef::model
