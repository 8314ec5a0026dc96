#include <fmt/format.h>

#include <algorithm>

#include "commands.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/document/ingest.h"
#include "reef/embed/default_embedder.h"

namespace reef::tool {
namespace {

struct IngestArguments {
  document::IngestOptions options;
  std::shared_ptr<ScopeChoice> scope = std::make_shared<ScopeChoice>();
};

text::ExtractOptions extract_options(const tree::Config& config) {
  text::ExtractOptions options;
  options.max_file_bytes = config.size_bytes("system", "ingest.max_file_bytes");
  options.child_memory_bytes = config.size_bytes("system", "ingest.limits.memory_bytes");
  options.child_seconds = static_cast<std::uint32_t>(config.count("system", "ingest.limits.seconds"));
  options.child_output_bytes = config.size_bytes("system", "ingest.limits.output_bytes");
  for (const std::string& extension : config.names("system", "ingest.converters"))
    options.converters[extension] = config.list("system", "ingest.converters." + extension);
  return options;
}

void tell_faults(const document::IngestReport& report) {
  for (const document::IngestFault& fault : report.faults) {
    // Most reasons name the file themselves.
    const bool named = fault.line == 0 && fault.reason.find(fault.path) != std::string::npos;
    const std::string place = named            ? ""
                              : fault.line > 0 ? fmt::format("{}:{}: ", fault.path, fault.line)
                                               : fault.path + ": ";
    log_warn("{}{}{}", place, fault.reason, fault.hint.empty() ? "" : fmt::format(" ({})", fault.hint));
  }
}

/// Tags are words to find documents by: each once, in one order, on one line.
void check_tags(std::vector<std::string>& tags) {
  for (const std::string& tag : tags) {
    if (tag.empty() || printable(tag) != tag)
      throw Error(Errc::usage, fmt::format("'{}' is no tag", printable(tag)), "a tag is a word of printable UTF-8");
  }
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
}

int ingest(cli::Session& session, IngestArguments& arguments) {
  check_tags(arguments.options.tags);
  const tree::Tree tree = open_tree(session, !arguments.options.dry_run);
  const tree::Config config = tree::Config::load(tree);
  document::IngestOptions& options = arguments.options;
  options.scope = chosen_scope(*arguments.scope, config);
  options.extract = extract_options(config);
  options.threads = cli::threads_or_all(options.threads);
  options.cache_cap_bytes = config.size_bytes("system", "cache.embedding.cap_bytes");
  const auto report = document::ingest(
      tree, options, [&](const std::string& name) { return embed::open_embedder(tree, config, name); },
      session.progress());
  if (!session.json()) tell_faults(report);
  if (session.json() || !session.quiet()) session.show(report);
  return report.faults.empty() ? 0 : kStatusPartial;
}

int remove(cli::Session& session, document::RemoveOptions& options, const ScopeChoice& scope) {
  const tree::Tree tree = open_tree(session, !options.dry_run);
  options.scope = chosen_scope(scope, tree::Config::load(tree));
  options.threads = cli::threads_or_all(options.threads);
  const auto report = document::remove(tree, options, session.progress());
  if (report.removed.empty() && !report.not_found.empty())
    throw Error(Errc::not_found,
                fmt::format("no document '{}' in {}", printable(report.not_found.front()), report.scope),
                "name a document's id or its file's path, as 'reef-index query' prints them");
  for (const std::string& name : report.not_found) log_warn("no document '{}' in {}", name, report.scope);
  if (session.json() || !session.quiet()) session.show(report);
  return report.not_found.empty() ? 0 : kStatusPartial;
}

}  // namespace

void add_ingest(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<IngestArguments>();
  document::IngestOptions& options = arguments->options;
  CLI::App* verb = cli::add_verb(app, "ingest", "Take files in: new and changed ones, unchanged ones are skipped",
                                 "reef-index ingest --persona alice ~/notes manual.pdf");
  verb->add_option("paths", options.paths, "Files, folders, .jsonl with {id,title,text}, or - for stdin")
      ->required()
      ->type_name("PATH");
  add_scope(*verb, arguments->scope);
  verb->add_flag("--text-only", options.text_only, "No vectors: found by words alone; files of any size");
  verb->add_option("--tag", options.tags, "Tag of these documents (may be repeated)")
      ->type_name("TAG")
      ->allow_extra_args(false);
  verb->add_flag("--prune", options.prune, "Remove documents whose files vanished from the folders named");
  cli::add_force(*verb, options.force, "Prune below a folder that holds no file any more");
  verb->get_option("--force")->needs("--prune");
  cli::add_dry_run(*verb, options.dry_run);
  cli::add_wait(*verb, options.wait);
  cli::add_threads(*verb, options.threads);
  verb->callback([=, &session] { session.choose([=, &session] { return ingest(session, *arguments); }); });
}

void add_remove(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<document::RemoveOptions>();
  auto scope = std::make_shared<ScopeChoice>();
  CLI::App* verb = cli::add_verb(app, "remove", "Remove documents with their chunks, vectors and originals",
                                 "reef-index remove ~/notes/old.md");
  verb->add_option("documents", options->documents, "Ids of documents, or paths of their files")
      ->required()
      ->type_name("DOC");
  add_scope(*verb, scope);
  cli::add_dry_run(*verb, options->dry_run);
  cli::add_wait(*verb, options->wait);
  cli::add_threads(*verb, options->threads);
  verb->callback([=, &session] { session.choose([=, &session] { return remove(session, *options, *scope); }); });
}

}  // namespace reef::tool
