#include "reef/session/list.h"

#include "commands.h"

namespace reef::tool {

void add_list(CLI::App& app, cli::Session& session) {
  auto persona = std::make_shared<std::optional<std::string>>();
  CLI::App* verb = cli::add_verb(app, "list", "Show the sessions", "reef-session list --persona alice");
  verb->add_option("--persona", *persona, "Only sessions of this persona")->type_name("ID");
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, false);
      require_known(tree, *persona);
      io::Database conversations = session::read_conversations(tree);
      const session::SessionList list{session::list_sessions(conversations, *persona)};
      if (!session.json() || !list.sessions.empty()) session.show(list);
      return 0;
    });
  });
}

}  // namespace reef::tool
