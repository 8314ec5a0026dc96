#include "reef/tree/init.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"
#include "reef/tree/internal/edit.h"
#include "reef/tree/persona.h"

namespace reef::tree {
namespace {

constexpr const char* kConfigFiles[] = {"system.yaml", "models.yaml", "personas.yaml"};

std::optional<struct stat> stat_of(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return info;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_errno("read", io::shown(path));
}

std::vector<std::string> persona_folders(const std::string& id) {
  return {"vectors/personas/" + id, "data/memories/" + id};
}

void plan_folder(const Tree& tree, const std::string& relative, InitPlan& plan) {
  const fs::path path = relative == "." ? tree.root() : tree.root() / relative;
  const auto info = stat_of(path);
  if (info && !S_ISDIR(info->st_mode))
    throw Error(Errc::failed, fmt::format("{} is in the way: not a folder", io::shown(path)),
                "move it elsewhere, then run reef-init again");
  // A store in a shard that is not mounted: what is missing elsewhere can be made all the same.
  if (!info && path.parent_path() == tree.root() / "vectors/personas" && fs::is_symlink(path)) return;
  if (!info && fs::is_symlink(path))
    throw Error(Errc::failed, fmt::format("{} is a symbolic link to a folder that is not there", io::shown(path)),
                "mount the drive that it leads to, then run reef-init again");
  if (!info) plan.steps.push_back({InitStep::Kind::folder, relative, "new", ""});
}

/// What lies in the root folder and is no part of the layout, sorted. A filesystem's own folder is
/// none of ours, and neither are hidden files, which tools of all kinds leave behind.
std::vector<std::string> foreign_entries(const Tree& tree) {
  std::set<std::string> ours{"lost+found"};
  for (const std::string& folder : Tree::folders()) ours.insert(folder.substr(0, folder.find('/')));
  std::vector<std::string> foreign;
  for (const auto& entry : fs::directory_iterator(tree.root())) {
    std::string name = entry.path().filename().string();
    if (!ours.contains(name) && name[0] != '.') foreign.push_back(std::move(name));
  }
  std::sort(foreign.begin(), foreign.end());
  return foreign;
}

/// A wrong --root would mix a tree with somebody's files, and take their 'data' for its own.
void refuse_foreign(const Tree& tree) {
  if (!stat_of(tree.root())) return;
  const auto foreign = foreign_entries(tree);
  if (foreign.empty()) return;
  throw Error(Errc::usage,
              fmt::format("{} is no storage tree and holds other things: {}{}", io::shown(tree.root()),
                          io::shown(foreign[0]), foreign.size() > 1 ? ", ..." : ""),
              "name an empty folder with --root, or pass --force to make it a tree all the same");
}

/// A configuration file on its way to what was asked for, and what the plan says about it.
struct ConfigEdit {
  internal::ConfigText config;
  std::vector<std::string> about;
};

ConfigEdit open_config(const Tree& tree, const std::string& file) {
  const fs::path path = tree.config(file);
  ConfigEdit edit{{file.substr(0, file.find('.')), io::shown(path), ""}, {}};
  try {
    edit.config.text = io::read_file(path, 8 << 20);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    edit.config.text = commented_file(edit.config.file);
    edit.about.emplace_back("new");
  }
  return edit;
}

/// Sets `file: section.key`, unless it stands there so; in a new file every key stands.
void set(ConfigEdit& edit, const Config& config, const std::string& section, const std::string& key,
         const std::optional<std::string>& value) {
  const std::string path = section.empty() ? key : section + "." + key;
  const bool is_new = !edit.about.empty();
  if (!value || (!is_new && config.text(edit.config.file, path) == *value)) return;
  edit.config.text = internal::with_setting(edit.config, section, key, *value);
  edit.about.push_back(fmt::format("{}: {}", path, *value));
}

void add_personas(ConfigEdit& edit, const Config& config, const std::vector<std::string>& ids) {
  const auto known = personas(config);
  std::set<std::string> there(known.begin(), known.end());
  for (const std::string& id : ids) {
    if (!there.insert(id).second) continue;
    edit.config.text = internal::with_persona(edit.config, id, to_rfc3339(now()));
    edit.about.push_back("persona " + id);
  }
}

void plan_config(const Tree& tree, const InitOptions& options, const Config& config, InitPlan& plan) {
  for (const std::string file : kConfigFiles) {
    ConfigEdit edit = open_config(tree, file);
    if (file == "models.yaml") set(edit, config, "", "default_embedding", options.embedding);
    if (file == "system.yaml") set(edit, config, "storage", "layout", options.layout);
    if (file == "personas.yaml") add_personas(edit, config, options.personas);
    if (!edit.about.empty())
      plan.steps.push_back(
          {InitStep::Kind::file, "config/" + file, fmt::format("{}", fmt::join(edit.about, ", ")), edit.config.text});
  }
}

std::string marker_text() {
  return fmt::format("reef tree {}\nThis folder is a storage tree of reef; see reef-tree(5). Keep this file.\n",
                     kTreeVersion);
}

void apply(const Tree& tree, const InitStep& step) {
  check_interrupt();
  const fs::path path = step.path == "." ? tree.root() : tree.root() / step.path;
  if (step.kind == InitStep::Kind::folder)
    make_folders(path);
  else
    io::replace_file(path, step.content);
}

}  // namespace

InitPlan plan_init(const Tree& tree, const InitOptions& options) {
  for (const std::string& id : options.personas) require_persona_id(id);
  const auto layouts = allowed_words("system", "storage.layout");
  if (options.layout && std::find(layouts.begin(), layouts.end(), *options.layout) == layouts.end())
    throw Error(Errc::usage, fmt::format("unknown layout '{}'", *options.layout),
                fmt::format("layouts are {}", fmt::join(layouts, ", ")));
  if (options.embedding &&
      (options.embedding->empty() || options.embedding->find_first_of("/\n\"'#:") != std::string::npos))
    throw Error(Errc::usage, fmt::format("'{}' is no model name", *options.embedding),
                "name a folder under models/base");
  InitPlan plan;
  plan.root = tree.root().string();
  const bool is_tree = stat_of(tree.marker()).has_value();
  if (is_tree) Tree::open(tree.root());  // a newer version is not ours to complete
  plan_folder(tree, ".", plan);
  if (!is_tree && !options.force) refuse_foreign(tree);
  for (const std::string& folder : Tree::folders()) plan_folder(tree, folder, plan);
  const Config config = Config::load(tree);
  plan_config(tree, options, config, plan);
  std::set<std::string> ids(options.personas.begin(), options.personas.end());
  for (const std::string& id : personas(config)) ids.insert(id);
  for (const std::string& id : ids)
    for (const std::string& folder : persona_folders(id)) plan_folder(tree, folder, plan);
  if (!is_tree)
    plan.steps.push_back(
        {InitStep::Kind::file, std::string(kMarkerFile), fmt::format("tree version {}", kTreeVersion), marker_text()});
  return plan;
}

InitPlan apply_init(const Tree& tree, const InitOptions& options, std::chrono::milliseconds wait) {
  InitPlan plan = plan_init(tree, options);
  if (!plan.steps.empty()) {
    const bool new_root = plan.steps.front().path == ".";
    make_folders(tree.root());
    const io::LockFile lock(tree.root() / internal::kEditLock, wait);
    io::remove_stale(tree.root());
    if (stat_of(tree.root() / "config")) io::remove_stale(tree.root() / "config");
    plan = plan_init(tree, options);  // another run may have ended between the first plan and the lock
    if (new_root) plan.steps.insert(plan.steps.begin(), {InitStep::Kind::folder, ".", "new", ""});
    for (const InitStep& step : plan.steps) apply(tree, step);
  }
  plan.applied = true;
  return plan;
}

namespace {

void check_rights(const Tree& tree, const std::string& relative, const struct stat& owner, CheckReport& report) {
  const auto info = stat_of(tree.root() / relative);
  if (!info) return;
  const std::string shown = io::shown(relative);
  if (info->st_uid != owner.st_uid)
    report.faults.push_back(
        {shown, fmt::format("belongs to user {}, the root folder to {}", info->st_uid, owner.st_uid),
         fmt::format("chown -R --reference={} {}", io::shown(tree.root()), io::shown(tree.root() / relative))});
  if ((info->st_mode & S_IRWXO) != 0)
    report.faults.push_back({shown, fmt::format("mode {:o} lets everybody in", info->st_mode & 07777u),
                             fmt::format("chmod o= {}", io::shown(tree.root() / relative))});
}

void check_drives(const Tree& tree, const Config& config, CheckReport& report) {
  const std::string layout = config.text("system", "storage.layout");
  const auto models = stat_of(tree.models()), data = stat_of(tree.root() / "data");
  if (layout == "minimal" || !models || !data || models->st_dev != data->st_dev) return;
  report.faults.push_back({"data",
                           fmt::format("on the same filesystem as models; layout '{}' keeps them apart", layout),
                           "mount the second drive at data/, or set storage.layout: minimal"});
}

}  // namespace

CheckReport check_tree(const Tree& tree) {
  Tree::open(tree.root());
  CheckReport report;
  report.root = tree.root().string();
  const Config config = Config::load(tree);
  report.values = config.all();
  const auto owner = stat_of(tree.root());
  std::vector<std::string> wanted = Tree::folders();
  for (const std::string& id : personas(config))
    for (const std::string& folder : persona_folders(id)) wanted.push_back(folder);
  check_rights(tree, ".", *owner, report);
  for (const std::string& folder : wanted) {
    if (!stat_of(tree.root() / folder) && fs::is_symlink(tree.root() / folder))
      report.faults.push_back(
          {folder, fmt::format("leads to {}, which is not there", io::shown(fs::read_symlink(tree.root() / folder))),
           "mount the drive that it leads to"});
    else if (!stat_of(tree.root() / folder))
      report.faults.push_back({folder, "missing", fmt::format("run 'reef-init --root {}'", io::shown(tree.root()))});
    else
      check_rights(tree, folder, *owner, report);
  }
  for (const std::string file : kConfigFiles) {
    if (!stat_of(tree.config(file)))
      report.faults.push_back({"config/" + file, "missing (defaults are used)",
                               fmt::format("run 'reef-init --root {}'", io::shown(tree.root()))});
    else
      check_rights(tree, "config/" + file, *owner, report);
  }
  for (const std::string& name : foreign_entries(tree))
    report.faults.push_back({io::shown(name), "foreign: no part of the tree", "move it out of the tree"});
  const auto ids = personas(config);
  for (const std::string parent : {"vectors/personas", "data/memories"}) {
    if (!stat_of(tree.root() / parent)) continue;
    for (const auto& entry : fs::directory_iterator(tree.root() / parent)) {
      const std::string name = entry.path().filename().string();
      if (name[0] != '.' && !std::binary_search(ids.begin(), ids.end(), name))
        report.faults.push_back(
            {io::shown(fs::path(parent) / name), "belongs to no persona of personas.yaml",
             fmt::format("add it with 'reef-init --persona {}', or move the folder away", io::shown(name))});
    }
  }
  check_drives(tree, config, report);
  return report;
}

void act_as_owner(const Tree& tree) {
  if (::geteuid() != 0) return;
  const auto owner = stat_of(tree.root());
  if (!owner || owner->st_uid == 0) return;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(owner->st_gid, owner->st_gid, owner->st_gid) != 0 ||
      ::setresuid(owner->st_uid, owner->st_uid, owner->st_uid) != 0)
    throw Error(Errc::failed,
                fmt::format("cannot work as the owner of {} (user {})", io::shown(tree.root()), owner->st_uid),
                "run the command as that user");
}

}  // namespace reef::tree
