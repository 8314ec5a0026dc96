#include "reef/tree/init.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/core/time.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::tree {
namespace {

constexpr unsigned kFolderMode = 02750;
const std::vector<std::string> kLayouts{"minimal", "standard", "enterprise"};
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
  if (!info) plan.steps.push_back({InitStep::Kind::folder, relative, "new", ""});
}

/// Replaces the value on the line of a top-level or nested scalar key that stands in the file, or
/// appends a top-level key. Keeps comments and order, which no YAML writer does.
std::string with_scalar(const std::string& yaml, const std::string& section, const std::string& key,
                        const std::string& value) {
  std::string out;
  bool done = false, inside = section.empty();
  for (std::string_view rest = yaml; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size() - 1) + 1;
    std::string line(rest.substr(0, end));
    rest.remove_prefix(end);
    if (!section.empty() && !line.empty() && line[0] != ' ' && line[0] != '#' && line[0] != '\n')
      inside = line.starts_with(section + ":");
    const std::string indent = section.empty() ? "" : "  ";
    if (!done && inside && line.starts_with(indent + key + ":")) {
      line = fmt::format("{}{}: {}\n", indent, key, value);
      done = true;
    }
    out += line;
  }
  if (done) return out;
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out +
         (section.empty() ? fmt::format("{}: {}\n", key, value) : fmt::format("{}:\n  {}: {}\n", section, key, value));
}

struct ConfigEdit {
  std::string text;
  std::vector<std::string> about;
};

std::string config_text(const Tree& tree, const std::string& file, ConfigEdit& edit) {
  try {
    return io::read_file(tree.config(file), 8 << 20);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
  }
  edit.about.push_back("new");
  return commented_file(file.substr(0, file.find('.')));
}

void plan_config(const Tree& tree, const InitOptions& options, const Config& config, InitPlan& plan) {
  for (const std::string file : kConfigFiles) {
    ConfigEdit edit;
    edit.text = config_text(tree, file, edit);
    const bool is_new = !edit.about.empty();
    if (file == "models.yaml" && options.embedding &&
        (is_new || config.text("models", "default_embedding") != *options.embedding)) {
      edit.text = with_scalar(edit.text, "", "default_embedding", *options.embedding);
      edit.about.push_back("default_embedding: " + *options.embedding);
    }
    if (file == "system.yaml" && options.layout &&
        (is_new || config.text("system", "storage.layout") != *options.layout)) {
      edit.text = with_scalar(edit.text, "storage", "layout", *options.layout);
      edit.about.push_back("storage.layout: " + *options.layout);
    }
    if (file == "personas.yaml") {
      const auto known = personas(config);
      std::set<std::string> added;
      for (const std::string& id : options.personas) {
        if (std::find(known.begin(), known.end(), id) != known.end() || !added.insert(id).second) continue;
        edit.text = with_persona(edit.text, id, to_rfc3339(now()));
        edit.about.push_back("persona " + id);
      }
    }
    if (!edit.about.empty())
      plan.steps.push_back(
          {InitStep::Kind::file, "config/" + file, fmt::format("{}", fmt::join(edit.about, ", ")), edit.text});
  }
}

std::string marker_text() {
  return fmt::format("reef tree {}\nThis folder is a storage tree of reef; see reef-tree(5). Keep this file.\n",
                     kTreeVersion);
}

void make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0750) != 0) {
    if (errno == EEXIST) return;
    throw_errno("create", io::shown(path));
  }
  // Ask for the set-group bit apart: mkdir(2) drops it. Some filesystems refuse; --check tells.
  if (::chmod(path.c_str(), kFolderMode) != 0 && errno != EPERM) throw_errno("set the mode of", io::shown(path));
  io::sync_directory(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

void make_parents(const fs::path& path) {
  if (path.empty() || stat_of(path)) return;
  make_parents(path.parent_path());
  make_folder(path);
}

}  // namespace

InitPlan plan_init(const Tree& tree, const InitOptions& options) {
  for (const std::string& id : options.personas) require_persona_id(id);
  if (options.layout && std::find(kLayouts.begin(), kLayouts.end(), *options.layout) == kLayouts.end())
    throw Error(Errc::usage, fmt::format("unknown layout '{}'", *options.layout),
                fmt::format("layouts are {}", fmt::join(kLayouts, ", ")));
  if (options.embedding &&
      (options.embedding->empty() || options.embedding->find_first_of("/\n\"'#:") != std::string::npos))
    throw Error(Errc::usage, fmt::format("'{}' is no model name", *options.embedding),
                "name a folder under models/base");
  InitPlan plan;
  plan.root = tree.root().string();
  const bool is_tree = stat_of(tree.marker()).has_value();
  if (is_tree) Tree::open(tree.root());  // a newer version is not ours to complete
  plan_folder(tree, ".", plan);
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

void apply_init(const Tree& tree, InitPlan& plan) {
  if (plan.steps.empty()) {
    plan.applied = true;
    return;
  }
  make_parents(tree.root());
  const io::LockFile lock(tree.root() / ".reef-init.lock");
  io::remove_stale(tree.root());
  if (stat_of(tree.root() / "config")) io::remove_stale(tree.root() / "config");
  for (const InitStep& step : plan.steps) {
    check_interrupt();
    const fs::path path = tree.root() / step.path;
    if (step.kind == InitStep::Kind::folder)
      make_folder(step.path == "." ? tree.root() : path);
    else
      io::replace_file(path, step.content);
  }
  Config::load(tree);  // an edit that broke a file must show now, not at the next query
  plan.applied = true;
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
    if (!stat_of(tree.root() / folder))
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
  std::set<std::string> top{"lost+found"};
  for (const std::string& folder : Tree::folders()) top.insert(folder.substr(0, folder.find('/')));
  for (const auto& entry : fs::directory_iterator(tree.root())) {
    const std::string name = entry.path().filename().string();
    if (!top.count(name) && name[0] != '.')
      report.faults.push_back({io::shown(name), "foreign: no part of the tree", "move it out of the tree"});
  }
  const auto ids = personas(config);
  for (const std::string parent : {"vectors/personas", "data/memories"}) {
    if (!stat_of(tree.root() / parent)) continue;
    for (const auto& entry : fs::directory_iterator(tree.root() / parent)) {
      const std::string name = entry.path().filename().string();
      if (name[0] != '.' && !std::binary_search(ids.begin(), ids.end(), name))
        report.faults.push_back(
            {io::shown(parent + "/" + name), "belongs to no persona of personas.yaml",
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
