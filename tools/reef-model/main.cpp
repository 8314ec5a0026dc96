#include <memory>

#include "commands.h"
#include "reef/cli/run.h"
#include "reef/core/log.h"
#include "reef/model/library.h"
#include "reef/tree/init.h"

namespace reef::tool {

void add_list(CLI::App& app, cli::Session& session) {
  CLI::App* verb = cli::add_verb(app, "list", "List the models", "reef-model list --json");
  verb->callback([&session] {
    session.choose([&session] {
      const tree::Tree tree = open_tree(session, false);
      model::ModelList list = model::list_models(tree);
      list.bindings = model::read_bindings(tree::Config::load(tree, {"personas"}));
      if (!session.json()) {
        cli::Session::print(to_text(list));
        return 0;
      }
      for (const model::ListEntry& entry : list.entries) cli::Session::print(to_json(entry, list.bindings) + "\n");
      for (const model::ArchivedModel& archived : list.archived) cli::Session::print(to_json(archived) + "\n");
      return 0;
    });
  });
}

void add_show(CLI::App& app, cli::Session& session) {
  struct Options {
    std::string name;
    bool tensors = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* verb = cli::add_verb(app, "show", "Show a model: layers, parameters, types, files",
                                 "reef-model show all-MiniLM-L6-v2 --tensors");
  verb->add_option("name", options->name, "Model, or folder/model where two kinds share a name")
      ->required()
      ->type_name("NAME");
  verb->add_flag("--tensors", options->tensors, "List every tensor");
  verb->callback([options, &session] {
    session.choose([options, &session] {
      const tree::Tree tree = open_tree(session, false);
      try {
        const auto bindings = model::read_bindings(tree::Config::load(tree, {"personas"}));
        const model::ModelDetails details = model::describe_model(tree, options->name, options->tensors, bindings);
        for (const model::Binding& binding : details.missing)
          log_warn("{}, which is not there; {}", binding.text(), model::missing_hint(binding));
        session.show(details);
      } catch (const Error& error) {
        const auto archived =
            error.code() == Errc::not_found ? model::find_archived(tree, options->name) : std::nullopt;
        if (!archived || options->tensors) throw;
        session.show(model::ArchivedDetails{*archived});
      }
      return 0;
    });
  });
}

}  // namespace reef::tool

int main(int argc, char** argv) {
  using namespace reef;
  return cli::run("reef-model", "Import, check, stream models", argc, argv, [](CLI::App& app, cli::Session& session) {
    app.require_subcommand(1);
    tool::add_import(app, session);
    tool::add_fetch(app, session);
    tool::add_archive(app, session);
    tool::add_list(app, session);
    tool::add_show(app, session);
    tool::add_manifest(app, session);
    tool::add_repack(app, session);
    tool::add_verify(app, session);
    tool::add_load(app, session);
    tool::add_cache(app, session);
    tool::add_extract(app, session);
    tool::add_diff(app, session);
    tool::add_duplicates(app, session);
    tool::add_stream(app, session);
  });
}
