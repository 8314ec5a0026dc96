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

struct FetchOptions {
  std::vector<std::string> names{};
  bool missing =
      false;  ///< every model that models.yaml or personas.yaml names and that is not there; archived ones stay so
  std::string from{};            ///< in place of the configured source, of the one name
  std::filesystem::path base{};  ///< what a relative `from` counts from
  bool force = false;            ///< also what is there, and may be damaged or another version
  bool dry_run = false;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for other runs
};

enum class FetchAction { none, create, replace, left };

struct FetchedModel {
  std::string name;
  FetchAction action = FetchAction::none;  ///< left: it is archived, and was not asked for by name
  std::string source;                      ///< "https://…", "archive", …; empty where nothing was to be brought
  std::optional<Kind> kind{};              ///< absent in a dry run, and where it failed early
  std::filesystem::path folder{};          ///< in the tree; of one left in the archive, there
  std::uint64_t bytes = 0;                 ///< of the model
  std::uint64_t received_bytes = 0;        ///< from a server or store, by this run
  std::uint64_t earlier_bytes = 0;         ///< by runs that were interrupted
  std::optional<Error> failure{};

  /// Whether it was brought, or in a dry run would be.
  bool has_changed() const { return !failure && (action == FetchAction::create || action == FetchAction::replace); }
};

struct FetchResult {
  bool dry_run = false;
  std::vector<FetchedModel> models;

  std::size_t failures() const;
};

/// Brings models from where models.yaml says, or back from the archive: downloads are resumed, every byte is compared,
/// and a model is published by one rename, as import does. Where the source fails, tier 3 is asked for the digest that
/// models.yaml pins.
///
/// The failure of one does not keep the others; of a single one it is thrown: Error{usage} for a name that has no
/// source or one that is none, Error{corrupt} for other bytes than were promised and for a model that is there damaged,
/// Error{not_found}, Error{failed}, Error{locked}. Error{interrupted} is thrown in any case; what came by then stays
/// for the next run.
FetchResult fetch_models(const tree::Tree& tree, const tree::Config& config, const FetchOptions& options,
                         Progress& progress);

std::string to_json(const FetchResult& result);
std::string to_text(const FetchResult& result);

}  // namespace reef::model
