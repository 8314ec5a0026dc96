#include "reef/cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "reef/core/error.h"

namespace reef::cli {
namespace {

using Names = std::vector<std::string>;

bool is_listed(const CLI::Option* option) { return !option->get_group().empty() && !option->get_positional(); }
bool takes_value(const CLI::Option* option) { return option->get_items_expected_max() > 0; }

/// Whether it may stand several times: lists, and -vv.
bool is_repeatable(const CLI::Option* option) {
  return takes_value(option) ? option->get_expected_max() > 1
                             : option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
}

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

/// Without --help for a verb, which has it from the command.
std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([&app](const CLI::Option* option) {
    return is_listed(option) && (app.get_parent() == nullptr || option != app.get_help_ptr());
  });
}

Names spellings(const CLI::Option* option) {
  Names names;
  for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  for (const auto& name : option->get_snames()) names.push_back("-" + name);
  return names;
}

/// The words between the first braces of a type name such as "MODE:{hybrid,dense,bm25}"; CLI11 adds
/// a pair for every check.
Names choices(const CLI::Option* option) {
  const std::string type = option->get_type_name();
  const auto open = type.find('{');
  const auto close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

/// "MODE" of "MODE:{hybrid,dense,bm25}".
std::string value_name(const CLI::Option* option) {
  const std::string type = option->get_type_name();
  return type.substr(0, type.find(':'));
}

/// What a shell offers for a value or an operand. Only the names listed here are files: a shell
/// that offers file names for a number or an id is in the way.
enum class Offer { nothing, choices, files, folders };

Offer offer_for(const CLI::Option* option) {
  static const Names kFiles{"PATH", "FILE", "SRC", "DOC"};
  if (!choices(option).empty()) return Offer::choices;
  const std::string name = value_name(option);
  if (name == "DIR") return Offer::folders;
  return std::find(kFiles.begin(), kFiles.end(), name) != kFiles.end() ? Offer::files : Offer::nothing;
}

/// What to offer where a verb's operands stand.
Offer operand_offer(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options())
    if (option->get_positional() && offer_for(option) != Offer::nothing) return offer_for(option);
  return Offer::nothing;
}

std::string escaped(std::string text, const std::string& quote, const std::string& by) {
  return CLI::detail::find_and_replace(std::move(text), quote, by);
}

// bash ------------------------------------------------------------------------------------------

/// Lines of "case $verb:$prev" for the values of an app's options; `verb` is a name or "*".
std::string bash_values(const CLI::App& app, const std::string& verb) {
  std::string lines;
  for (const CLI::Option* option : options_of(app)) {
    if (!takes_value(option)) continue;
    std::string patterns;
    for (const std::string& name : spellings(option))
      patterns += fmt::format("{}{}:{}", patterns.empty() ? "" : "|", verb, name);
    switch (offer_for(option)) {
      case Offer::choices:
        lines += fmt::format("    {}) words='{}' ;;\n", patterns, fmt::join(choices(option), " "));
        break;
      case Offer::files:
        lines += fmt::format("    {}) kind=-f ;;\n", patterns);
        break;
      case Offer::folders:
        lines += fmt::format("    {}) kind=-d ;;\n", patterns);
        break;
      case Offer::nothing:
        lines += fmt::format("    {}) ;;\n", patterns);
        break;
    }
  }
  return lines;
}

std::string bash_options(const CLI::App& app, const CLI::App& top) {
  Names words;
  for (const CLI::App* from : {&app, &top}) {
    for (const CLI::Option* option : options_of(*from))
      for (std::string& name : spellings(option)) words.push_back(std::move(name));
    if (from == &top) break;
  }
  return fmt::format("{}", fmt::join(words, " "));
}

std::string bash(const CLI::App& app) {
  const auto verbs = verbs_of(app);
  std::string values, options, operands;
  Names names;
  for (const CLI::App* verb : verbs) {
    const std::string& name = verb->get_name();
    names.push_back(name);
    values += bash_values(*verb, name);
    options += fmt::format("      {}:-*) words='{}' ;;\n", name, bash_options(*verb, app));
    if (operand_offer(*verb) != Offer::nothing) operands += fmt::format("      {}:*) kind=-f ;;\n", name);
  }
  values += bash_values(app, "*");
  options += fmt::format("      :-*) words='{}' ;;\n", bash_options(app, app));
  if (!names.empty()) operands += fmt::format("      :*) words='{}' ;;\n", fmt::join(names, " "));
  const std::string find_verb = names.empty() ? ""
                                              : fmt::format(
                                                    "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
                                                    "    case $word in {}) verb=$word; break ;; esac\n  done\n",
                                                    fmt::join(names, "|"));
  return fmt::format(
      "# shellcheck shell=bash\n# Generated by '{0} --generate bash'.\n_{1}() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb='' kind='' words=''{2}\n"
      "  # bash splits \"--mode=dense\" into three words.\n"
      "  if [[ $cur == '=' ]]; then cur=''; elif [[ $prev == '=' ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi\n{3}"
      "  case $verb:$prev in\n{4}"
      "    *) case $verb:$cur in\n{5}{6}    esac ;;\n  esac\n"
      "  if [[ $kind ]]; then\n    compopt -o filenames 2>/dev/null\n"
      "    mapfile -t COMPREPLY < <(compgen \"$kind\" -- \"$cur\")\n"
      "  else\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n  fi\n}}\ncomplete -F _{1} {0}\n",
      app.get_name(), escaped(app.get_name(), "-", "_"), names.empty() ? "" : " word", find_verb, values, options,
      operands);
}

// fish ------------------------------------------------------------------------------------------

std::string fish_quoted(const std::string& text) {
  return fmt::format("'{}'", escaped(escaped(text, "\\", "\\\\"), "'", "\\'"));
}

std::string fish_options(const CLI::App& app, const std::string& start) {
  std::string lines;
  for (const CLI::Option* option : options_of(app)) {
    std::string line = start;
    for (const auto& name : option->get_lnames()) line += " -l " + name;
    for (const auto& name : option->get_snames()) line += " -s " + name;
    if (takes_value(option)) {
      switch (offer_for(option)) {
        case Offer::choices:
          line += fmt::format(" -x -a '{}'", fmt::join(choices(option), " "));
          break;
        case Offer::files:
          line += " -r -F";
          break;
        case Offer::folders:
          line += " -x -a '(__fish_complete_directories)'";
          break;
        case Offer::nothing:
          line += " -x";
          break;
      }
    }
    lines += fmt::format("{} -d {}\n", line, fish_quoted(option->get_description()));
  }
  return lines;
}

std::string fish(const CLI::App& app) {
  const std::string start = "complete -c " + app.get_name();
  // No file names but where a verb takes them.
  std::string out = fmt::format("# Generated by '{} --generate fish'.\n{} -f\n", app.get_name(), start);
  out += fish_options(app, start);
  for (const CLI::App* verb : verbs_of(app)) {
    out += fmt::format("{} -n __fish_use_subcommand -a {} -d {}\n", start, verb->get_name(),
                       fish_quoted(verb->get_description()));
    const std::string below = fmt::format("{} -n '__fish_seen_subcommand_from {}'", start, verb->get_name());
    if (operand_offer(*verb) != Offer::nothing) out += below + " -F\n";
    out += fish_options(*verb, below);
  }
  return out;
}

// zsh -------------------------------------------------------------------------------------------

std::string zsh_options(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : options_of(app)) {
    std::string about = escaped(option->get_description(), "'", "'\\''");
    about = escaped(escaped(about, "[", "\\["), "]", "\\]");
    std::string value;
    if (takes_value(option)) {
      switch (offer_for(option)) {
        case Offer::choices:
          value = fmt::format(":{}:({})", value_name(option), fmt::join(choices(option), " "));
          break;
        case Offer::files:
          value = fmt::format(":{}:_files", value_name(option));
          break;
        case Offer::folders:
          value = fmt::format(":{}:_files -/", value_name(option));
          break;
        case Offer::nothing:
          value = fmt::format(":{}: ", value_name(option));
          break;
      }
    }
    const Names names = spellings(option);
    const std::string once = is_repeatable(option) ? "*"
                             : names.size() > 1    ? fmt::format("({})", fmt::join(names, " "))
                                                   : "";
    for (const std::string& name : names) out += fmt::format("    '{}{}[{}]{}' \\\n", once, name, about, value);
  }
  return out;
}

std::string zsh(const CLI::App& app) {
  const std::string head = fmt::format("#compdef {0}\n# Generated by '{0} --generate zsh'.\n", app.get_name());
  const auto verbs = verbs_of(app);
  if (verbs.empty()) return fmt::format("{}_arguments \\\n{}    && return\n", head, zsh_options(app));
  std::string names, cases;
  for (const CLI::App* verb : verbs) {
    names += fmt::format("\n    '{}:{}'", verb->get_name(), escaped(verb->get_description(), "'", "'\\''"));
    const char* operands = operand_offer(*verb) == Offer::nothing ? "'*: : '" : "'*:file:_files'";
    cases += fmt::format("    {}) _arguments \\\n{}{}    {} ;;\n", verb->get_name(), zsh_options(*verb),
                         zsh_options(app), operands);
  }
  return fmt::format(
      "{0}local curcontext=$curcontext state line\n_arguments -C \\\n{1}    '1: :->verb' '*:: :->rest' && return\n"
      "case $state in\n  verb) local -a verbs=({2})\n    _describe command verbs ;;\n"
      "  rest) case $words[1] in\n{3}  esac ;;\nesac\n",
      head, zsh_options(app), names, cases);
}

// json ------------------------------------------------------------------------------------------

nlohmann::ordered_json described(const CLI::App& app) {
  nlohmann::ordered_json out{{"name", app.get_name()}, {"about", app.get_description()}};
  out["options"] = nlohmann::ordered_json::array();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    out["options"].push_back({{"long", option->get_lnames()},
                              {"short", option->get_snames()},
                              {"operand", option->get_positional() ? option->get_name(true) : ""},
                              {"takes_value", takes_value(option)},
                              {"value", takes_value(option) ? value_name(option) : ""},
                              {"choices", choices(option)},
                              {"about", option->get_description()},
                              {"required", option->get_required()}});
  }
  out["commands"] = nlohmann::ordered_json::array();
  for (const CLI::App* verb : verbs_of(app)) out["commands"].push_back(described(*verb));
  return out;
}

}  // namespace

std::string generate(const CLI::App& app, std::string_view what) {
  if (what == "bash") return bash(app);
  if (what == "fish") return fish(app);
  if (what == "zsh") return zsh(app);
  if (what == "json")
    return nlohmann::ordered_json{{"schema", "reef.cli/1"}, {"command", described(app)}}.dump(2) + "\n";
  throw Error(Errc::usage, "--generate takes bash, zsh, fish or json");
}

}  // namespace reef::cli
