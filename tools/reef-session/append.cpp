#include "reef/session/append.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "commands.h"
#include "reef/core/cancel.h"
#include "reef/io/file.h"

namespace reef::tool {
namespace {

constexpr std::size_t kLongest = 64 << 20;

/// Standard input as one text, the line feed at its end taken off.
std::string read_text() {
  std::string text;
  for (;;) {
    check_interrupt();
    const std::size_t had = text.size();
    text.resize(had + (1 << 16));
    const ssize_t count = ::read(STDIN_FILENO, text.data() + had, text.size() - had);
    if (count < 0 && errno != EINTR) throw_errno("read", "stdin");
    text.resize(had + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) break;
    if (text.size() > kLongest)
      throw Error(Errc::usage, fmt::format("the text is longer than {} MiB", kLongest >> 20), "");
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

void add_append(CLI::App& app, cli::Session& session) {
  auto options = std::make_shared<session::AppendOptions>();
  auto text = std::make_shared<std::string>("-");
  CLI::App* verb = cli::add_verb(app, "append", "Add one message to a session, and print its id",
                                 "reef-session append s1 --role user 'Good morning.'");
  verb->add_option("session", options->session, "Id of the session")->required()->type_name("SESSION");
  verb->add_option("text", *text, "The message; - or nothing: from standard input")->type_name("TEXT");
  verb->add_option("--role", options->role, "Who says it: user, assistant, system, tool, ...")
      ->required()
      ->type_name("ROLE");
  verb->add_option("--persona", options->persona, "Make the session, of this persona, when it is not there")
      ->type_name("ID");
  verb->add_option("--speaker", options->speaker, "Name of the one who says it")->type_name("NAME");
  verb->add_option("--id", options->id, "Id of the message: one that is there is not added again")->type_name("ID");
  verb->add_option("--time", options->time, "When it was said (default: now)")->type_name("TIME");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      require_known(tree, options->persona);
      options->content = *text == "-" ? read_text() : *text;
      const auto report = session::append(tree, *options);
      if (session.json() || !session.quiet()) session.show(report);
      return 0;
    });
  });
}

}  // namespace reef::tool
