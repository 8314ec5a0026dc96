#include "reef/backup/what.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "reef/io/file.h"
#include "reef/tree/tree.h"

namespace reef::backup {
namespace {

/// The names of a path, at most four; what lies deeper is as what lies above it.
struct Names {
  std::array<std::string_view, 4> at{};
  std::size_t count = 0;  ///< of all
  std::string_view last;

  explicit Names(std::string_view path) {
    for (std::size_t begin = 0; begin < path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      last = path.substr(begin, end - begin);
      if (count < at.size()) at[count] = last;
      ++count;
      begin = end + 1;
    }
  }
};

/// vectors.npy, vectors.3.npy
bool is_numbered(std::string_view name, std::string_view stem, std::string_view extension) {
  if (!name.starts_with(stem) || !name.ends_with(extension) || name.size() < stem.size() + extension.size())
    return false;
  std::string_view number = name.substr(stem.size(), name.size() - stem.size() - extension.size());
  if (number.empty()) return true;
  if (number.front() != '.' || number.size() == 1) return false;
  number.remove_prefix(1);
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_of_a_store(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames{"metadata.sqlite", "id_mapping.json", "config.json",
                                                   "shards.json",     "parts.json",      ".part"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || is_numbered(name, "vectors", ".npy") ||
         is_numbered(name, "codes", ".npy") || is_numbered(name, "index", ".bin");
}

/// Folders that stores of personas lie in, one each.
bool holds_stores(const Names& names) {
  if (names.at[0] == "vectors") {
    if (names.at[1] == "personas" || names.at[1] == "conversations") return names.count == 3;
    return names.at[1] == "shared" && names.at[2] == "parts" && names.count == 4;
  }
  return names.at[0] == "data" && names.at[1] == "memories" && names.count == 3;
}

Part part_of_data(const Names& names) {
  if (names.at[1] == "backups") return Part::never;
  if (names.count < 3) return Part::other;
  if (names.at[1] == "documents") {
    if (names.at[2] == "raw") return Part::original;
    if (names.at[2] == "processed") return Part::bulk;
    return names.at[2] == "documents.sqlite" ? Part::store : Part::other;
  }
  if (names.at[1] == "conversations") {
    if (names.count > 3) return Part::original;  // a session's attachments
    return names.at[2] == "conversations.sqlite" ? Part::store : Part::other;
  }
  return names.at[1] == "memories" && names.count > 3 ? Part::store : Part::other;
}

}  // namespace

Part part_of(std::string_view path) {
  const Names names(path);
  if (names.count == 0) return Part::other;
  if (io::is_temporary_name(names.last)) return Part::never;
  if (names.last.starts_with('.') && names.last.ends_with(".lock")) return Part::never;
  if (names.at[0] == "cache" || names.at[0] == "lost+found") return Part::never;
  if (names.at[0] == "config" || path == tree::kMarkerFile) return Part::config;
  if (names.at[0] == "data") return part_of_data(names);
  if (names.at[0] == "vectors") return names.count > 1 && is_of_a_store(names.last) ? Part::store : Part::other;
  if (names.at[0] == "models" && names.count > 1) {
    if (names.at[1] == ".fetch") return Part::never;
    if (names.at[1] == "archived") return Part::config;
    if (names.at[1] == "adapters") return Part::original;
    if (names.at[1] == "base" || names.at[1] == "quantized") return Part::bulk;
  }
  return Part::other;
}

bool belongs(Part part, int tier, std::uint64_t size_bytes, bool is_database) {
  if (part == Part::other) return tier == 3 || size_bytes <= kSmallFileBytes || is_database;
  return reaches(part, tier);
}

bool reaches(Part part, int tier) {
  switch (part) {
    case Part::never:
      return false;
    case Part::config:
    case Part::store:
    case Part::other:
      return true;
    case Part::original:
      return tier >= 2;
    case Part::bulk:
      return tier >= 3;
  }
  return true;
}

bool is_database_of_reef(std::string_view path) {
  if (path == "data/conversations/conversations.sqlite" || path == "data/documents/documents.sqlite") return true;
  const Names names(path);
  if (names.at[0] == "vectors" && names.last == "metadata.sqlite") return names.count > 2;
  return names.at[0] == "data" && names.at[1] == "memories" && names.last == "memories.sqlite" && names.count == 4;
}

bool may_be_database(std::string_view path) {
  const Part part = part_of(path);
  if (part != Part::store && part != Part::other) return false;
  constexpr std::array<std::string_view, 3> kExtensions{".sqlite", ".sqlite3", ".db"};
  return std::any_of(kExtensions.begin(), kExtensions.end(), [&](std::string_view e) { return path.ends_with(e); });
}

bool may_be_elsewhere(std::string_view path) {
  const auto& folders = tree::Tree::folders();
  return std::find(folders.begin(), folders.end(), path) != folders.end() || holds_stores(Names(path));
}

}  // namespace reef::backup
