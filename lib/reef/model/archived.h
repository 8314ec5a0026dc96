#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model {

inline constexpr std::string_view kArchivedFile = "archived.json";

/// A model that was moved out of the tree: models/archived/KIND/NAME holds its manifest, chunk digests, signature and
/// archived.json (schema reef.archived/1), which says where to.
struct ArchivedModel {
  std::string name;
  Kind kind = Kind::base;
  std::filesystem::path record;
  std::filesystem::path place;  ///< the folder in the archive
  std::string since;            ///< RFC 3339
  Manifest manifest;            ///< empty when fault is not
  std::string fault;            ///< why the record cannot be used; empty: it can
};

/// Every record, by kind, then name. One whose model is in the tree says nothing: a run was killed just before it
/// removed the one or the other.
std::vector<ArchivedModel> list_archived(const tree::Tree& tree);
/// The archived model called `name`, as find_model() takes names. Throws Error{usage} when it is ambiguous.
std::optional<ArchivedModel> find_archived(const tree::Tree& tree, const std::string& name);

/// The text of archived.json.
std::string archived_text(const std::filesystem::path& place, const std::string& since);

/// What 'show' tells of it: its files lie elsewhere, so only what the record holds.
struct ArchivedDetails {
  ArchivedModel model;
};

std::string to_json(const ArchivedModel& archived);
std::string to_json(const ArchivedDetails& details);
std::string to_text(const ArchivedDetails& details);

}  // namespace reef::model
