#include "reef/session/export.h"

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {

void add_export(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<session::ExportOptions>();
  CLI::App* verb = cli::add_verb(app, "export", "Write sessions as JSON Lines that 'import' takes",
                                 "reef-session export --persona alice -o alice.jsonl");
  verb->add_option("sessions", options->sessions, "Ids of sessions (default: all)")->type_name("SESSION");
  verb->add_option("--persona", options->persona, "Only sessions of this persona")->type_name("ID");
  verb->add_option("-o,--output", options->output, "The file to write, or - for standard output")
      ->required()
      ->type_name("FILE");
  cli::add_force(*verb, options->force, "Replace the output file");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, false);
      require_known(tree, options->persona);
      const auto report = session::export_conversations(
          tree, *options, [](std::string_view lines) { cli::Session::print(std::string(lines)); }, session.progress());
      if (!session.json())
        for (const auto& [id, error] : report.missing)
          log_warn("session '{}': {} ({})", id, error.what(), error.hint());
      // Standard output carries the sessions alone.
      if (report.output != "-" && (session.json() || !session.quiet())) session.show(report);
      return report.missing.empty() ? 0 : kStatusPartial;
    });
  });
}

}  // namespace reef::tool
