#include <fmt/format.h>

#include "reef/cli/app.h"
#include "reef/cli/run.h"
#include "reef/core/table.h"
#include "reef/tree/init.h"
#include "reef/tree/mount_cache.h"

namespace {

using namespace reef;

struct Options {
  tree::InitOptions init;
  bool check = false;
  bool mount_cache = false;
  std::string mount_unit;  ///< folder, or "-"
  bool dry_run = false;
  std::chrono::milliseconds wait{0};
};

std::string values_text(const tree::CheckReport& report) {
  Table table({{"KEY"}, {"VALUE"}, {"FROM"}});
  for (const auto& [key, value] : report.values)
    table.add({key, value.items.empty() ? value.text : fmt::format("{}", fmt::join(value.items, ", ")), value.origin});
  return table.to_text();
}

/// As root, whoever owns the tree.
int mount(cli::Session& session, const Options& options) {
  const tree::Tree tree = tree::Tree::open(tree::Tree::find_root(session.root()));
  const tree::Config config = tree::Config::load(tree, {"system"});
  if (!options.mount_unit.empty()) {
    const auto unit = tree::write_mount_unit(tree, config, options.mount_unit, options.dry_run);
    if (session.json() || !session.quiet() || unit.file.empty()) session.show(unit);
    return 0;
  }
  const auto done = options.dry_run ? tree::plan_cache_mount(tree, config) : tree::apply_cache_mount(tree, config);
  if (session.json() || !session.quiet()) session.show(done);
  return 0;
}

int init(cli::Session& session, const Options& options) {
  if (options.mount_cache || !options.mount_unit.empty()) return mount(session, options);
  const tree::Tree tree = tree::Tree::at(tree::Tree::find_root(session.root()));
  tree::act_as_owner(tree);
  if (options.check) {
    const auto report = tree::check_tree(tree);
    if (session.verbosity() > 0 && !session.json()) cli::Session::print(values_text(report));
    session.show(report);
    return report.faults.empty() ? 0 : kStatusFault;
  }
  const auto plan =
      options.dry_run ? tree::plan_init(tree, options.init) : tree::apply_init(tree, options.init, options.wait);
  if (session.json() || !session.quiet()) session.show(plan);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return cli::run(
      "reef-init", "Lay out or complete a storage tree", argc, argv, [](CLI::App& app, cli::Session& session) {
        auto options = std::make_shared<Options>();
        app.add_option("--persona", options->init.personas, "Add this persona (may be repeated)")
            ->type_name("ID")
            ->allow_extra_args(false);
        app.add_option("--layout", options->init.layout, "Drives that the tree is meant for")
            ->check(CLI::IsMember(tree::allowed_words("system", "storage.layout")))
            ->type_name("LAYOUT");
        app.add_option("--embedding", options->init.embedding, "Model that makes vectors (default: all-MiniLM-L6-v2)")
            ->type_name("NAME");
        auto* check = app.add_flag("--check", options->check,
                                   "Compare with the layout and change nothing; with -v print every value");
        auto* mount_cache =
            app.add_flag("--mount-cache", options->mount_cache, "Mount a tmpfs at cache/model_cache (as root)");
        auto* mount_unit = app.add_option("--mount-unit", options->mount_unit,
                                          "Write a unit for systemd that does so at every start into DIR; -: print it")
                               ->type_name("DIR")
                               ->check([](const std::string& text) { return text.empty() ? "it is empty" : ""; });
        cli::add_force(app, options->init.force, "Make a folder that holds other things a tree all the same");
        cli::add_dry_run(app, options->dry_run);
        cli::add_wait(app, options->wait);
        for (CLI::Option* alone : {check, mount_cache, mount_unit})
          alone->excludes("--persona")->excludes("--layout")->excludes("--embedding")->excludes("--force");
        mount_cache->excludes(check)->excludes(mount_unit);
        mount_unit->excludes(check);
        app.footer("Example:\n  reef-init --root ./demo --persona alice\n\nThe manual: man reef-init");
        app.callback([options, &session] { session.choose([options, &session] { return init(session, *options); }); });
      });
}
