#include <memory>

#include "reef/cli/app.h"
#include "reef/cli/run.h"
#include "reef/core/log.h"
#include "reef/embed/encoder.h"
#include "reef/model/embedding.h"
#include "reef/model/import.h"
#include "reef/model/library.h"
#include "reef/tree/folders.h"
#include "reef/tree/init.h"

namespace {

using namespace reef;

tree::Tree open_tree(const cli::Session& session) { return tree::Tree::open(tree::Tree::find_root(session.root())); }

/// Makes the first question as fast as the second. Whatever fails here fails again, with the same
/// words, where the model is used, so the import stands.
void compile(const tree::Tree& tree, const tree::Config& config, const model::ImportResult& result) {
  if (!model::is_bert_encoder(result.folder)) return;
  try {
    const std::string name = fmt::format("{}/{}", model::kind_folder(result.manifest.kind), result.manifest.name);
    const model::EmbeddingModel encoder = model::resolve_embedding(tree, config, name);
    const auto target = embed::compiled_path(tree.encoders(), encoder);
    if (std::filesystem::exists(target)) return;
    log_step("compiling the encoder into {}", target.string());
    tree::make_folders(tree.encoders());
    embed::compile_encoder(encoder, target);
  } catch (const std::exception&) {
    const Error error = current_error();
    if (error.code() == Errc::interrupted) throw;
    log_warn("{} cannot embed texts yet: {}", result.manifest.name, error.what());
  }
}

int import(cli::Session& session, const model::ImportOptions& options) {
  const tree::Tree tree = open_tree(session);
  if (!options.dry_run) tree::act_as_owner(tree);
  const tree::Config config = tree::Config::load(tree, {"models", "personas"});
  const model::ImportResult result = model::import_model(tree, config, options, session.progress());
  if (result.unaligned > 0) {
    log_warn(
        "{}: tensors that do not begin at a multiple of their element's size: {} (legal, but slow to use in place)",
        result.manifest.name, result.unaligned);
  }
  if (!options.dry_run) compile(tree, config, result);
  if (session.json() || !session.quiet()) session.show(result);
  return 0;
}

void add_import(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<model::ImportOptions>();
  CLI::App* verb = cli::add_verb(app, "import", "Copy a model into the tree, checked, with a manifest",
                                 "reef-model import ~/.cache/huggingface/hub/models--BAAI--bge-small-en-v1.5");
  verb->add_option("source", options->source, "Model folder, Hugging Face cache folder or Python wheel")
      ->required()
      ->type_name("SRC");
  verb->add_option_function<std::string>(
          "--kind", [options](const std::string& text) { options->kind = model::parse_kind(text); },
          "What it is (default: as its files say)")
      ->check(CLI::IsMember({"base", "quantized", "adapter"}))
      ->type_name("KIND");
  verb->add_option("--name", options->name, "What to call it (default: as the source does)")->type_name("NAME");
  verb->add_option("--persona", options->persona, "Whose adapter it is")->type_name("ID");
  cli::add_force(*verb, options->force, "Replace another model of that name");
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  verb->callback([options, &session] { session.choose([options, &session] { return import(session, *options); }); });
}

void add_list(CLI::App& app, cli::Session& session) {
  CLI::App* verb = cli::add_verb(app, "list", "List the models", "reef-model list --json");
  verb->callback([&session] {
    session.choose([&session] {
      const model::ModelList list = model::list_models(open_tree(session));
      if (!session.json()) {
        cli::Session::print(to_text(list));
        return 0;
      }
      for (const model::ListEntry& entry : list.entries) cli::Session::print(to_json(entry) + "\n");
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
      session.show(model::describe_model(open_tree(session), options->name, options->tensors));
      return 0;
    });
  });
}

int verify(cli::Session& session, const std::vector<std::string>& names) {
  const model::VerifyReport report = model::verify_models(open_tree(session), names, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  if (report.faults() == 0) return 0;
  const std::string more = report.faults() > 1 ? fmt::format(" (and {} more)", report.faults() - 1) : "";
  throw Error(Errc::corrupt, report.first_fault() + more,
              fmt::format("import the model again, then run 'reef-model verify {}'", report.first_faulty_model()));
}

void add_verify(CLI::App& app, cli::Session& session) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = cli::add_verb(app, "verify", "Compare models with their manifests, byte by byte",
                                 "reef-model verify all-MiniLM-L6-v2");
  verb->add_option("name", *names, "Models (default: all)")->type_name("NAME");
  verb->callback([names, &session] { session.choose([names, &session] { return verify(session, *names); }); });
}

}  // namespace

int main(int argc, char** argv) {
  return cli::run("reef-model", "Import and check models", argc, argv, [](CLI::App& app, cli::Session& session) {
    app.require_subcommand(1);
    add_import(app, session);
    add_list(app, session);
    add_show(app, session);
    add_verify(app, session);
  });
}
