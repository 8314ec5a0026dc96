#include "reef/persona/archive.h"

#include "commands.h"

namespace reef::tool {
namespace {

struct ExportArguments {
  std::string id;
  persona::ExportOptions options;
};

int export_persona(cli::Session& session, const ExportArguments& arguments) {
  const tree::Tree tree = open_tree(session, true);
  const auto report = persona::export_persona(tree, arguments.id, arguments.options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

int import_persona(cli::Session& session, const persona::ImportOptions& options) {
  const tree::Tree tree = open_tree(session, !options.dry_run);
  const auto report = persona::import_persona(tree, options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

}  // namespace

void add_export(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb = cli::add_verb(app, "export", "Write all of a persona into one archive, for another tree",
                                 "reef-persona export alice -o alice.tar.zst");
  verb->add_option("id", arguments->id, "The persona")->required()->type_name("ID");
  verb->add_option("-o,--output", arguments->options.output, "The archive to write")->required()->type_name("FILE");
  cli::add_force(*verb, arguments->options.force, "Replace the file");
  cli::add_threads(*verb, arguments->options.threads);
  cli::add_wait(*verb, arguments->options.wait);
  verb->callback([=, &session] { session.choose([=, &session] { return export_persona(session, *arguments); }); });
}

void add_import(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<persona::ImportOptions>();
  CLI::App* verb =
      cli::add_verb(app, "import", "Take a persona in from an archive", "reef-persona import alice.tar.zst --as bea");
  verb->add_option("file", options->file, "The archive, as export wrote it")->required()->type_name("FILE");
  verb->add_option("--as", options->as, "Another id for it")->type_name("ID");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_threads(*verb, options->threads);
  cli::add_wait(*verb, options->wait);
  verb->callback([=, &session] { session.choose([=, &session] { return import_persona(session, *options); }); });
}

}  // namespace reef::tool
