#include <fmt/format.h>

#include "commands.h"
#include "common/tree.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::tool {
namespace {

struct About {
  int tier;
  const char* name;
  const char* about;
  const char* example;
};

constexpr About kAbout[] = {
    {1, "tier1", "Take what changes into the block store of the second drive", "reef-backup tier1"},
    {2, "tier2", "Take databases, vectors and files into a dated folder", "reef-backup tier2 --to /mnt/nas/reef"},
    {3, "tier3", "Take the whole tree into an archive, and models once", "reef-backup tier3 --to s3://backups/tower"},
};

int take(cli::Session& session, backup::RunOptions options) {
  const tree::Tree tree = open_tree(session, true);
  const tree::Config config = tree::Config::load(tree, {"system"});
  const auto report = backup::run(tree, config, options, session.progress());
  if (report.same_filesystem && (report.is_new || is_told(session)))
    log_warn("{} is on the same filesystem as the tree: a drive that fails takes both", io::shown(report.destination));
  for (const std::string& path : report.capture.changed)
    log_warn("{} changed while it was read, each time: its copy may be torn", io::shown(path));
  for (const auto& problem : report.capture.problems)
    log_warn("{}: {}{}", io::shown(problem.path), problem.what, problem.hint.empty() ? "" : " (" + problem.hint + ")");
  for (const auto& note : report.capture.notes) log_step("{}: {}", io::shown(note.path), note.what);
  if (report.prune_failure) log_warn("older snapshots were not removed: {}", with_hint(*report.prune_failure));
  if (is_told(session)) session.show(report);
  return report.is_partial() ? kStatusPartial : 0;
}

}  // namespace

void add_tiers(CLI::App& app, cli::Session& session) {
  for (const About& about : kAbout) {
    auto options = std::make_shared<backup::RunOptions>();
    auto keep_all = std::make_shared<bool>(false);
    options->tier = about.tier;
    CLI::App* verb = cli::add_verb(app, about.name, about.about, about.example);
    verb->add_option("--to", options->store.to,
                     fmt::format("A folder{}, in place of backup.{}.to",
                                 about.tier == 3 ? " or s3://BUCKET/PREFIX" : "", about.name))
        ->type_name("DEST");
    verb->add_flag("--adopt", options->store.adopt,
                   "Take a destination that the tree does not know, such as a new drive in the place of the old one");
    verb->add_flag("--keep-all", *keep_all, "Remove no older snapshots afterwards");
    cli::add_wait(*verb, options->store.wait);
    cli::add_threads(*verb, options->store.threads);
    verb->callback([=, &session] {
      options->prune = !*keep_all;
      session.choose([=, &session] { return take(session, *options); });
    });
  }
}

}  // namespace reef::tool
