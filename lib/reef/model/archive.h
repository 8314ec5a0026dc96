#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/model/manifest.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct ArchiveOptions {
  std::vector<std::string> names{};
  bool yes = false;  ///< also the model that default_embedding names
  bool dry_run = false;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for other runs
};

struct ArchivedNow {
  std::string name;
  Kind kind = Kind::base;
  bool is_planned = false;  ///< what a dry run would do
  bool has_changed = false;
  bool was_there = false;         ///< the archive had it already, of an earlier time; it was compared, not copied
  std::filesystem::path place{};  ///< in the archive
  std::uint64_t bytes = 0;
  std::optional<Error> failure{};
};

struct ArchiveResult {
  bool dry_run = false;
  std::vector<ArchivedNow> models;

  std::size_t failures() const;
};

/// Moves models to storage.archive/models/KIND/NAME: copied, synced, read back and compared with the manifest; then the
/// record is written that archived.h tells of; then the model's folder is removed. Killed at any point, the model is
/// whole in the tree, or whole in the archive with its record.
///
/// The failure of one does not keep the others; of a single one it is thrown: Error{usage} for an archive that cannot
/// be, another model of that name in it, files that no manifest names, and the model of default_embedding without
/// `yes`; Error{failed} for a model in use and a full disk; Error{corrupt} for a damaged one; Error{not_found},
/// Error{locked}, Error{interrupted}.
ArchiveResult archive_models(const tree::Tree& tree, const tree::Config& config, const ArchiveOptions& options,
                             Progress& progress);

std::string to_json(const ArchiveResult& result);
std::string to_text(const ArchiveResult& result);

}  // namespace reef::model
