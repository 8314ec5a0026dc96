#include "reef/session/import.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {
namespace {

constexpr std::array<std::pair<const char*, session::Format>, 5> kFormats{
    {{"auto", session::Format::automatic},
     {"jsonl", session::Format::jsonl},
     {"openai", session::Format::openai},
     {"chatgpt", session::Format::chatgpt},
     {"sillytavern", session::Format::sillytavern}}};

struct ImportArguments {
  session::ImportOptions options;
  std::string format = "auto";
};

void warn(const session::ImportFault& fault) {
  log_warn("{}{}{}{}", fault.file,
           fault.line > 0       ? fmt::format(":{}: ", fault.line)
           : fault.file.empty() ? ""
                                : ": ",
           fault.reason, fault.hint.empty() ? "" : fmt::format(" ({})", fault.hint));
}

int import(cli::Session& session, ImportArguments& arguments) {
  for (const auto& [name, format] : kFormats)
    if (arguments.format == name) arguments.options.format = format;
  const tree::Tree tree = open_tree(session, true);
  require_known(tree, arguments.options.persona);
  if (!session.json()) arguments.options.on_fault = warn;
  const auto report = session::import_conversations(tree, arguments.options, session.progress());
  if (session.json() || !session.quiet()) session.show(report);
  return report.skipped == 0 ? 0 : kStatusPartial;
}

}  // namespace

void add_import(CLI::App& app, cli::Session& session) {
  auto arguments = std::make_shared<ImportArguments>();
  session::ImportOptions& options = arguments->options;
  CLI::App* verb = cli::add_verb(app, "import", "Take conversations in; what is there already is skipped",
                                 "reef-session import --persona alice conversations.json");
  verb->add_option("files", options.files, "Files, or - for standard input")->required()->type_name("FILE");
  verb->add_option("--persona", options.persona, "Whose conversations they are")->required()->type_name("ID");
  std::vector<std::string> names;
  names.reserve(std::size(kFormats));
  for (const auto& [name, format] : kFormats) names.emplace_back(name);
  verb->add_option("--format", arguments->format, "Form of the files (default: auto, by their content)")
      ->check(CLI::IsMember(names))
      ->type_name("FORMAT");
  verb->add_option("--prefix", options.prefix, "Put this before the id of every session")->type_name("TEXT");
  verb->callback([=, &session] { session.choose([=, &session] { return import(session, *arguments); }); });
}

}  // namespace reef::tool
