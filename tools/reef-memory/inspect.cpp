#include "reef/memory/inspect.h"

#include "commands.h"
#include "reef/memory/schema.h"
#include "reef/memory/state.h"
#include "reef/memory/verify.h"
#include "reef/tree/persona.h"

namespace reef::tool {
namespace {

int list(cli::Session& session, const PersonaChoice& persona, bool all) {
  const tree::Tree tree = open_tree(session, false);
  const tree::Config config = tree::Config::load(tree);
  io::Database memories = memory::read_memories(tree, chosen_persona(persona, config));
  std::vector<memory::MemoryRow> rows;
  memory::list_memories(memories, all, store_options(config).half_life_days, [&](memory::MemoryRow& row) {
    if (session.json())
      cli::Session::print(memory::to_json(row) + "\n");
    else
      rows.push_back(std::move(row));
  });
  if (!session.json() && !rows.empty()) cli::Session::print(memory::to_text(rows));
  return 0;
}

int link(cli::Session& session, const PersonaChoice& persona, const std::vector<std::string>& ids,
         std::chrono::milliseconds wait) {
  const bool makes = ids.size() == 2;
  const std::int64_t from = memory::parse_id(ids.front());
  const tree::Tree tree = open_tree(session, makes);
  const tree::Config config = tree::Config::load(tree);
  const std::string chosen = chosen_persona(persona, config);
  io::Database memories = memory::read_memories(tree, chosen);  // which is not made by looking
  if (!makes) {
    session.show(memory::links_of(memories, from));
    return 0;
  }
  memories = {};
  memory::Store store(tree, chosen, store_options(config, wait));
  const auto report = memory::link(store, from, memory::parse_id(ids.back()));
  store.finish_run();
  if (session.json() || !session.quiet()) session.show(report);
  return 0;
}

}  // namespace

void add_list(CLI::App& app, cli::Session& session) {
  auto all = std::make_shared<bool>(false);
  CLI::App* verb = cli::add_verb(app, "list", "Show what a persona remembers", "reef-memory list --persona alice");
  const PersonaChoice persona = add_persona(*verb);
  verb->add_flag("--all", *all, "Also what newer memories have superseded");
  verb->callback([=, &session] { session.choose([=, &session] { return list(session, persona, *all); }); });
}

void add_show(CLI::App& app, cli::Session& session) {
  auto id = std::make_shared<std::string>();
  CLI::App* verb = cli::add_verb(app, "show", "Show one memory: text, score, sources, links, history",
                                 "reef-memory show M12 --persona alice");
  verb->add_option("id", *id, "The memory, such as M12")->required()->type_name("ID");
  const PersonaChoice persona = add_persona(*verb);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const std::int64_t wanted = memory::parse_id(*id);
      const tree::Tree tree = open_tree(session, false);
      const tree::Config config = tree::Config::load(tree);
      io::Database memories = memory::read_memories(tree, chosen_persona(persona, config));
      session.show(memory::show_memory(memories, wanted, store_options(config).half_life_days,
                                       memory::importance_options(config)));
      return 0;
    });
  });
}

void add_link(CLI::App& app, cli::Session& session) {
  auto ids = std::make_shared<std::vector<std::string>>();
  auto wait = std::make_shared<std::chrono::milliseconds>(0);
  CLI::App* verb = cli::add_verb(app, "link", "Show the links of a memory, or link it to another one",
                                 "reef-memory link M12 M7 --persona alice");
  verb->add_option("ids", *ids, "The memory, and the one to link it to")->required()->expected(1, 2)->type_name("ID");
  const PersonaChoice persona = add_persona(*verb);
  cli::add_wait(*verb, *wait);
  verb->callback([=, &session] { session.choose([=, &session] { return link(session, persona, *ids, *wait); }); });
}

void add_state(CLI::App& app, cli::Session& session) {
  CLI::App* verb = cli::add_verb(app, "state", "Show the mood that the memories tell, and what it rests on",
                                 "reef-memory state --persona alice");
  const PersonaChoice persona = add_persona(*verb);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, false);
      const std::string chosen = chosen_persona(persona, tree::Config::load(tree));
      io::Database memories = memory::read_memories(tree, chosen);
      session.show(memory::emotional_state(memories, chosen));
      return 0;
    });
  });
}

void add_verify(CLI::App& app, cli::Session& session) {
  auto persona = std::make_shared<std::optional<std::string>>();
  auto wait = std::make_shared<std::chrono::milliseconds>(0);
  CLI::App* verb = cli::add_verb(app, "verify", "Compare everything that belongs to memories; changes nothing",
                                 "reef-memory verify");
  verb->add_option("--persona", *persona, "Only this persona (default: all)")->type_name("ID");
  cli::add_wait(*verb, *wait);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      const tree::Config config = tree::Config::load(tree, {"personas"});
      if (*persona) tree::require_persona(config, **persona);
      const auto personas = *persona ? std::vector<std::string>{**persona} : tree::personas(config);
      const auto report = memory::verify(tree, personas, *wait, session.progress());
      if (session.json() || !session.quiet() || !report.faults.empty()) session.show(report);
      return report.faults.empty() ? 0 : kStatusFault;
    });
  });
}

}  // namespace reef::tool
