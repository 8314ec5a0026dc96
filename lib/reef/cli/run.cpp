#include "reef/cli/run.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "reef/cli/app.h"
#include "reef/cli/completion.h"
#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/text.h"

namespace reef::cli {
namespace {

/// The first signal asks for an orderly end, a second one of any kind ends the process at once.
extern "C" void note_signal(int number) {
  if (pending_signal != 0) {
    ::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  pending_signal = number;
}

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = note_signal;  // no SA_RESTART: blocking calls return EINTR
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) ::sigaction(number, &action, nullptr);  // nohup(1) stays in force
  }
  // A reader that goes away ("| head") shows as EPIPE, so that a run can still clean up.
  ::signal(SIGPIPE, SIG_IGN);
}

bool asks_for_json(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i)
    if (std::string_view(argv[i]) == "--json") return true;
  return false;
}

void report(const std::string& name, bool json, int status, const std::string& message, const std::string& hint) {
  if (json) {
    nlohmann::ordered_json out{{"schema", "reef.error/1"}, {"status", status}, {"message", message}, {"hint", hint}};
    fmt::print(stderr, "{}\n", out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  fmt::print(stderr, "{}: {}: {}\n", name, severity_word("error"), to_valid_utf8(message));
  if (!hint.empty()) fmt::print(stderr, "{}: {}: {}\n", name, severity_word("hint"), to_valid_utf8(hint));
}

/// Whether --color, NO_COLOR (https://no-color.org) and the terminal together ask for colour.
bool wants_color(const std::string& when) {
  if (when != "auto") return when == "always";
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value != nullptr ? value : "");
  };
  return variable("NO_COLOR").empty() && variable("TERM") != "dumb" && ::isatty(STDERR_FILENO) != 0;
}

/// The verb that was parsed, or the first operand where one belongs.
const CLI::App* chosen_verb(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? nullptr : parsed.front();
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); }))
    names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// The first word that is neither an option nor the value of a common one.
std::string first_operand(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--root" || word == "--color") {
      ++i;
      continue;
    }
    if (!word.empty() && word[0] != '-') return word;
  }
  return {};
}

/// CLI11's messages made into ours: what is wrong, and the nearest name that exists.
std::string usage_message(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error) {
  const CLI::App* verb = chosen_verb(app);
  const auto verbs = verb_names(app);
  if (!verb && !verbs.empty()) {
    const std::string word = first_operand(argc, argv);
    const bool known = std::find(verbs.begin(), verbs.end(), word) != verbs.end();
    if (word.empty()) return fmt::format("a command is missing: one of {}", fmt::join(verbs, ", "));
    if (!known) {
      const auto meant = nearest(word, verbs);
      return meant ? fmt::format("unknown command '{}', did you mean '{}'?", word, *meant)
                   : fmt::format("unknown command '{}'; there are {}", word, fmt::join(verbs, ", "));
    }
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    // What a verb does not know falls through to the command; CLI11 puts values before options.
    const auto extras = app.remaining(true);
    const auto option =
        std::find_if(extras.begin(), extras.end(), [](const std::string& extra) { return extra[0] == '-'; });
    if (option == extras.end()) return fmt::format("unexpected argument '{}'", extras.empty() ? "" : extras.front());
    const std::string name = option->substr(0, option->find('='));
    auto names = option_names(app);
    if (verb)
      for (auto& own : option_names(*verb)) names.push_back(own);
    const auto meant = nearest(name, names);
    return meant ? fmt::format("unknown option '{}', did you mean '{}'?", name, *meant)
                 : fmt::format("unknown option '{}'", name);
  }
  std::string message = error.what();
  if (!message.empty() && message.size() > 1 && std::isupper(static_cast<unsigned char>(message[0])) &&
      std::islower(static_cast<unsigned char>(message[1])))
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  while (!message.empty() && (message.back() == '.' || message.back() == '\n')) message.pop_back();
  if (const auto line = message.find('\n'); line != std::string::npos) message.resize(line);
  return message;
}

}  // namespace

int run(const std::string& name, const std::string& about, int argc, char** argv,
        const std::function<void(CLI::App&, Session&)>& define) {
  install_handlers();
  color_log(wants_color("auto"));
  Session session;
  CLI::App app{about, name};
  const bool json = asks_for_json(argc, argv);
  int status = 0;
  const auto fail = [&](int with, const std::string& message, const std::string& hint) {
    status = with;
    if (pending_signal != 0 && with == exit_status(Errc::interrupted)) {
      report(name, json, 128 + pending_signal, message, hint);
      return;
    }
    report(name, json, with, message, hint);
  };
  try {
    app.set_version_flag("-V,--version", name + " " REEF_VERSION)->group("Common options");
    app.get_help_ptr()->group("Common options");
    session.add_common_options(app);
    app.fallthrough();  // common options may stand behind the verb
    app.add_option_function<std::string>("--generate",
                                         [&app](const std::string& what) {
                                           Session::print(generate(app, what));
                                           throw CLI::Success();
                                         })
        ->group("");
    define(app, session);
    if (app.get_footer().empty()) app.footer("The manual: man " + name);
    if (!verb_names(app).empty()) app.require_subcommand(1);
    app.parse(argc, argv);
    if (session.quiet_ && session.verbose_ > 0) throw Error(Errc::usage, "-q and -v exclude each other");
    color_log(wants_color(session.color_));
    configure_log(name, static_cast<Verbosity>(std::min(2, session.verbosity())));
    if (session.work_) status = session.work_();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      status = app.exit(error);  // --help, --version, --generate
    } else {
      fail(exit_status(Errc::usage), usage_message(app, argc, argv, error),
           chosen_verb(app) ? fmt::format("try '{} {} --help'", name, chosen_verb(app)->get_name())
                            : fmt::format("try '{} --help'", name));
    }
  } catch (...) {
    const Error error = current_error();
    fail(exit_status(error.code()), error.what(), error.hint());
  }
  // A reader that went away has what it wanted.
  if (const int write_error = Session::flush(); write_error != 0 && write_error != EPIPE) {
    report(name, json, exit_status(Errc::failed),
           fmt::format("write to standard output: {}", std::generic_category().message(write_error)), "");
    status = exit_status(Errc::failed);
  }
  if (pending_signal != 0) {
    ::signal(pending_signal, SIG_DFL);
    ::raise(pending_signal);
  }
  return status;
}

}  // namespace reef::cli
