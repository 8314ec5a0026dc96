#include "reef/recover/persona.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/memory/schema.h"
#include "reef/persona/rows.h"
#include "reef/recover/internal/forecast.h"
#include "reef/recover/rebuild.h"
#include "reef/recover/replace.h"
#include "reef/recover/service.h"
#include "reef/session/schema.h"
#include "reef/tree/folders.h"
#include "reef/tree/persona_change.h"

namespace reef::recover {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBound = std::chrono::minutes(5);

/// Paths of a snapshot that belong to one persona alone.
std::vector<std::string> own_folders(const std::string& persona) {
  return {"data/memories/" + persona, "vectors/personas/" + persona, "vectors/conversations/" + persona};
}

/// What is half renamed is in two places, and a restore would know of one.
void require_no_pending_change(const tree::Tree& tree) {
  if (const auto change = tree::pending_change(tree))
    throw Error(Errc::failed,
                fmt::format("the {} of persona {}, begun {}, is not ended", tree::kind_name(change->kind),
                            change->persona, change->began),
                fmt::format("run that 'reef-persona {}' again, which ends it", tree::kind_name(change->kind)));
}

std::vector<std::string> shared_databases(const tree::Tree& tree) {
  std::vector<std::string> paths;
  for (const persona::Shared which : {persona::Shared::documents, persona::Shared::conversations})
    paths.push_back(persona::shared_file(tree, which).lexically_relative(tree.root()).string());
  return paths;
}

bool holds(const Entries& entries, const std::string& path) {
  return std::any_of(entries.begin(), entries.end(), [&](const auto& recorded) { return recorded.first.path == path; });
}

std::vector<Loss> losses(const tree::Tree& tree, const std::string& persona, Time taken) {
  const auto scope = tree::Scope::persona(persona);
  return {internal::newer(
              "messages", session::conversations_file(tree),
              "SELECT count(*) FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.created_at > ? AND "
              "s.persona_id = ?",
              persona, to_database_time(taken)),
          internal::newer("memories", memory::memories_file(tree, persona),
                          "SELECT count(*) FROM memories WHERE created_at > ?", {}, to_database_time(taken)),
          internal::newer("documents", tree.vectors(scope) / "metadata.sqlite",
                          "SELECT count(*) FROM documents WHERE finished AND added > ?", {}, to_rfc3339(taken))};
}

class PersonaRestore {
 public:
  PersonaRestore(const tree::Tree& tree, const tree::Config& config, const Source& source,
                 const PersonaOptions& options)
      : tree_(tree), source_(source), options_(options), services_(services(config, {options.persona})) {
    const Entries all = source.store->entries(source.snapshot.id);
    for (const std::string& path : own_folders(options.persona))
      if (holds(all, path)) folders_.push_back(path);
    for (const std::string& path : shared_databases(tree))
      if (holds(all, path)) databases_.push_back(path);
    if (folders_.empty())
      throw Error(
          Errc::not_found,
          fmt::format("snapshot {} of tier {} holds nothing of {}", source.snapshot.id, source.tier, options.persona),
          "another one may: pass --at TIME or --from SNAPSHOT");
    selection_.paths = folders_;
    selection_.paths.insert(selection_.paths.end(), databases_.begin(), databases_.end());
    for (const auto& recorded : all)
      if (selection_.covers(recorded.first.path)) entries_.push_back(recorded);
  }

  RestoreReport plan() const {
    RestoreReport report;
    report.scenario = "persona";
    report.name = options_.persona;
    report.tier = source_.tier;
    report.destination = source_.destination;
    report.snapshot = source_.snapshot;
    for (const auto& [entry, counts] : entries_)
      if (entry.type == backup::EntryType::file) ++report.files, report.bytes += entry.size_bytes;
    for (const Service& service : services_)
      if (!service.stop.empty()) report.steps.push_back("stop: " + internal::command_line(service.stop));
    report.steps.push_back(fmt::format("restore {} beside the tree, {}, and check them", counted(report.files, "file"),
                                       format_size(report.bytes)));
    for (const std::string& path : folders_) report.steps.push_back(fmt::format("put {} into place", io::shown(path)));
    for (const std::string& path : databases_)
      report.steps.push_back(fmt::format("bring the rows of {} in {}", options_.persona, io::shown(path)));
    report.steps.emplace_back("make again what is derived and does not match");
    for (const Service& service : services_)
      if (!service.start.empty()) report.steps.push_back("start: " + internal::command_line(service.start));
    report.losses = losses(tree_, options_.persona, source_.snapshot.taken);
    report.expected = internal::expected(tree_, source_.tier, report.bytes);
    report.bound = kBound;
    return report;
  }

  RestoreReport run(Progress& progress) {
    const auto start = steady_clock::now();
    require_no_pending_change(tree_);
    finish_interrupted(tree_, options_.wait);
    RestoreReport report = plan();
    StoppedServices stopped(services_);
    const CheckReport checked = replace(report, progress);
    report.rebuilt = rebuild(tree_, checked, {options_.threads, options_.wait}, progress);
    stopped.start();
    report.applied = true;
    report.duration = duration_cast<milliseconds>(steady_clock::now() - start);
    return report;
  }

 private:
  /// Where a folder of the persona goes: behind a link to a shard, where there is one.
  fs::path target_of(const std::string& path) const {
    const fs::path target = fs::absolute(tree_.root()) / path;
    tree::make_folders(target.parent_path());
    std::error_code error;
    if (!fs::is_symlink(target, error)) return fs::canonical(target.parent_path()) / target.filename();
    // The link itself: weakly_canonical() does not follow one that leads nowhere.
    const fs::path real = fs::weakly_canonical(target.parent_path() / fs::read_symlink(target), error);
    if (error || !fs::is_directory(real.parent_path(), error))
      throw Error(
          Errc::not_found,
          fmt::format("{} leads to {}, which is not there", io::shown(target), io::shown(fs::read_symlink(target))),
          "mount the drive of the shard, or remove the link to have the store restored into the tree");
    return real;
  }

  /// All but the databases that others share.
  static std::vector<fs::path> databases_below(const std::vector<Item>& items) {
    std::vector<fs::path> found;
    for (const Item& item : items)
      for (const char* name : {"memories.sqlite", "metadata.sqlite"}) found.push_back(item.target / name);
    return found;
  }

  CheckReport replace(RestoreReport& report, Progress& progress) {
    Replacement replacement(tree_, options_.wait);
    const fs::path main = replacement.staging_for(fs::absolute(tree_.root()) / "data");
    std::vector<Item> items;
    CheckReport checked;
    for (const auto& [staging, paths] : by_staging(replacement, main)) {
      stage(staging, paths, progress);
      check_staged(staging, paths, checked, progress);
      for (const std::string& path : paths)
        if (std::find(folders_.begin(), folders_.end(), path) != folders_.end())
          items.push_back({staging / path, target_of(path)});
    }
    require_sound(checked);
    require_unused(databases_below(items));
    const RowsMoved moved = replacement.commit(items, options_.persona);
    report.rows_came = moved.came;
    report.rows_went = moved.went;
    return checked;
  }

  /// Paths by the folder that they are staged in; the shared databases, of which rows are taken, in that of the tree.
  std::vector<std::pair<fs::path, std::vector<std::string>>> by_staging(Replacement& replacement,
                                                                        const fs::path& main) const {
    std::vector<std::pair<fs::path, std::vector<std::string>>> groups{{main, databases_}};
    for (const std::string& path : folders_) {
      const fs::path staging = replacement.staging_for(target_of(path));
      auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == staging; });
      if (group == groups.end()) group = groups.insert(groups.end(), {staging, {}});
      group->second.push_back(path);
    }
    return groups;
  }

  void stage(const fs::path& staging, const std::vector<std::string>& paths, Progress& progress) const {
    if (paths.empty()) return;
    backup::TargetFolder target(staging, {.replace = false, .threads = options_.threads});
    source_.store->read(source_.snapshot.id, {paths}, target, progress);
    target.finish();
  }

  void check_staged(const fs::path& staging, const std::vector<std::string>& paths, CheckReport& all,
                    Progress& progress) const {
    const backup::Selection here{paths};
    Entries entries;
    for (const auto& recorded : entries_)
      if (!paths.empty() && here.covers(recorded.first.path)) entries.push_back(recorded);
    CheckReport report = check(staging, entries, options_.threads, progress);
    all.faults.insert(all.faults.end(), report.faults.begin(), report.faults.end());
  }

  void require_sound(const CheckReport& checked) const {
    for (const CheckFault& fault : checked.faults)
      if (!fault.is_derived)
        throw Error(Errc::corrupt,
                    fmt::format("snapshot {} of tier {}: {}: {}", source_.snapshot.id, source_.tier,
                                io::shown(fault.file), fault.what),
                    "nothing was changed; restore another snapshot: --at TIME, --tier N");
  }

  const tree::Tree& tree_;
  const Source& source_;
  const PersonaOptions& options_;
  std::vector<Service> services_;
  std::vector<std::string> folders_;    ///< that the snapshot holds
  std::vector<std::string> databases_;  ///< shared ones that it holds
  backup::Selection selection_;
  Entries entries_;  ///< of all that
};

}  // namespace

RestoreReport plan_persona(const tree::Tree& tree, const tree::Config& config, const Source& source,
                           const PersonaOptions& options) {
  RestoreReport report = PersonaRestore(tree, config, source, options).plan();
  report.dry_run = true;
  return report;
}

RestoreReport restore_persona(const tree::Tree& tree, const tree::Config& config, const Source& source,
                              const PersonaOptions& options, Progress& progress) {
  return PersonaRestore(tree, config, source, options).run(progress);
}

}  // namespace reef::recover
