#include "reef/recover/files.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;

/// As a snapshot names it.
std::string inside(const tree::Tree& tree, const std::string& given) {
  fs::path path = fs::path(given).lexically_normal();
  if (path.is_absolute()) path = path.lexically_relative(fs::absolute(tree.root()).lexically_normal());
  std::string text = path.native();
  while (text.ends_with('/')) text.pop_back();
  if (text == ".") return "";
  if (text.empty() || text == ".." || text.starts_with("../"))
    throw Error(Errc::usage, fmt::format("{} is not below the tree {}", io::shown(given), io::shown(tree.root())),
                "name it as it lies in the tree, such as config/system.yaml");
  return text;
}

/// The first of the paths that a snapshot does not hold.
const std::string* first_missing(const std::vector<std::string>& paths, const std::set<std::string>& held) {
  for (const std::string& path : paths)
    if (!path.empty() && !held.contains(path)) return &path;
  return nullptr;
}

[[noreturn]] void throw_missing(const std::string& path, const std::set<std::string>& held, const Source& source) {
  const std::vector<std::string> names(held.begin(), held.end());
  const auto near = nearest(path, names);
  throw Error(
      Errc::not_found,
      fmt::format("snapshot {} of tier {} does not hold {}{}", source.snapshot.id, source.tier, io::shown(path),
                  near ? fmt::format(", did you mean {}?", io::shown(*near)) : ""),
      "another snapshot may: pass --at TIME or --from SNAPSHOT; not every tier holds every file (reef-backup(8))");
}

}  // namespace

FilesReport restore_files(const tree::Tree& tree, const std::vector<Source>& sources, const FilesOptions& options,
                          Progress& progress) {
  backup::Selection selection;
  for (const std::string& path : options.paths) selection.paths.push_back(inside(tree, path));

  const Source* source = nullptr;
  std::vector<std::pair<backup::Entry, backup::Counts>> entries;
  for (const Source& candidate : sources) {
    entries = candidate.store->entries(candidate.snapshot.id);
    std::set<std::string> held;
    for (const auto& [entry, counts] : entries) held.insert(entry.path);
    const std::string* missing = first_missing(selection.paths, held);
    if (missing == nullptr) {
      source = &candidate;
      break;
    }
    if (&candidate == &sources.back()) throw_missing(*missing, held, sources.front());
  }
  if (source == nullptr) throw Error(Errc::not_found, "there is no snapshot to restore from");

  FilesReport report;
  report.tier = source->tier;
  report.destination = source->destination;
  report.snapshot = source->snapshot;
  report.to = options.to.string();
  report.dry_run = options.dry_run;
  if (options.dry_run) {
    for (const auto& [entry, counts] : entries) {
      if (entry.type == backup::EntryType::folder || !selection.covers(entry.path)) continue;
      if (entry.type == backup::EntryType::file) ++report.files;
      report.bytes += entry.size_bytes;
      report.paths.push_back(entry.path);
    }
    return report;
  }
  backup::TargetFolder target(options.to, {.replace = options.force, .threads = std::max(options.threads, 1U)});
  source->store->read(source->snapshot.id, selection, target, progress,
                      [&](const std::string& path, const std::string& what) {
                        report.damaged.push_back({path, what});
                      });
  const auto written = target.finish();
  report.files = written.files;
  report.bytes = written.bytes;
  return report;
}

}  // namespace reef::recover
