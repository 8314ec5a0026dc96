#include "reef/session/show.h"

#include "commands.h"
#include "reef/core/cancel.h"
#include "reef/core/log.h"

namespace reef::tool {

void add_show(CLI::App& app, cli::Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* verb = cli::add_verb(app, "show", "Print the messages of a session", "reef-session show s1");
  verb->add_option("session", *id, "Id of the session")->required()->type_name("SESSION");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, false);
      io::Database conversations = session::read_conversations(tree);
      const io::Transaction moment(conversations, io::Transaction::Kind::read);
      const session::SessionRow row = session::require_session(conversations, *id);
      session::Archives archives;
      if (row.archived > 0) archives.require(row.archive_file);
      const auto summary = session::read_summary(conversations, *id);
      if (!session.json())
        cli::Session::print(session::heading(row, summary));
      else if (summary)
        cli::Session::print(session::to_json(*summary, row) + "\n");
      bool damaged = false;
      session::read_messages(
          conversations, archives, *id,
          [&](const session::Message& message) {
            check_interrupt();
            cli::Session::print(session.json() ? session::to_json(message, row) + "\n" : session::to_text(message));
          },
          [&](const Error& error) {
            damaged = true;
            log_warn("{}", with_hint(error));
          });
      return damaged ? kStatusPartial : 0;
    });
  });
}

}  // namespace reef::tool
