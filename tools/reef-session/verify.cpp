#include "reef/session/verify.h"

#include "commands.h"
#include "reef/core/log.h"

namespace reef::tool {

void add_verify(CLI::App& app, cli::Session& session) {
  auto persona = std::make_shared<std::optional<std::string>>();
  auto wait = std::make_shared<std::chrono::milliseconds>(0);
  CLI::App* verb =
      cli::add_verb(app, "verify", "Compare everything that belongs together; changes nothing", "reef-session verify");
  verb->add_option("--persona", *persona, "Only sessions of this persona (default: all)")->type_name("ID");
  cli::add_wait(*verb, *wait);
  verb->callback([=, &session] {
    session.choose([=, &session] {
      const tree::Tree tree = open_tree(session, true);
      require_known(tree, *persona);
      const auto report = session::verify(tree, *persona, *wait, session.progress());
      if (session.json() || !session.quiet() || !report.faults.empty()) session.show(report);
      if (!session.json())
        for (const auto& one : report.skipped)
          log_warn("vectors of {} were not looked at: {} ({})", one.persona, one.why, one.next_step);
      if (!report.faults.empty()) return kStatusFault;
      return report.skipped.empty() ? 0 : kStatusPartial;
    });
  });
}

}  // namespace reef::tool
