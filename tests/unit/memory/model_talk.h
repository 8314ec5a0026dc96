#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "reef/io/process.h"
#include "reef/memory/consolidate.h"
#include "reef/memory/schema.h"
#include "reef/session/store.h"
#include "reef/session/summary.h"
#include "support/python_server.h"
#include "support/tree_fixture.h"

namespace reef::test {

inline bool has_helper() {
  try {
    static_cast<void>(io::helper_path("reef-http"));
    return true;
  } catch (const Error&) {
    MESSAGE("reef-http is not built: tests of the language model are skipped");
    return false;
  }
}

/// Two messages that wait in the buffer, one that would be dropped and one that would be kept, and one between.
struct ModelTalk : TreeFixture {
  PythonServer server{"chat_server.py"};

  ModelTalk() {
    say("s", "m1", "user", "Did you see that?", "2024-03-01 10:00:00.000");
    say("s", "m2", "assistant", "The precious harbour was painted", "2024-03-01 10:01:00.000");
    say("s", "m3", "user", "A dull museum of bicycles near Lisbon", "2024-03-01 10:02:00.000");
    say("s", "m4", "user", "Some violin music of telescopes", "2024-03-01 10:03:00.000");
  }

  void say(const std::string& session, const std::string& id, const std::string& role, const std::string& content,
           const std::string& time, const std::string& persona = "alice") {
    session::NewMessage message;
    message.session = session;
    message.external_id = id;
    message.role = role;
    message.content = content;
    message.created = time;
    session::PutCounts counts;
    REQUIRE(session::Store(tree).put(persona, {&message, 1}, counts).empty());
  }

  memory::LanguageModelOptions options(const std::string& model) const {
    return {server.address() + "/v1", model, "", std::chrono::seconds(30)};
  }

  memory::ConsolidateReport decide(memory::LanguageModel* model, const std::string& now = "2024-03-09") {
    memory::Store store(tree, "alice");
    memory::ConsolidateOptions options;
    options.now = parse_time(now);
    options.importance.discard = 0;  // everything waits
    options.importance.remember = 1;
    options.on_decision = [&](const memory::Decided& one) { told.push_back(one); };
    options.model = model;
    return memory::consolidate(tree, store, 0, {}, options, no_progress());
  }
  memory::ConsolidateReport decide_by(const std::string& name) {
    memory::LanguageModel model(options(name));
    auto report = decide(&model);
    if (model.fault()) fault = model.fault()->what(), hint = model.fault()->hint();
    return report;
  }

  /// All that was decided, to the last bit.
  std::string decisions() {
    io::Database database = memory::read_memories(tree, "alice");
    auto all = database.prepare(
        "SELECT group_concat(rank || ' ' || message || ' ' || state || ' ' || printf('%!.17g', score) || ' ' ||"
        " printf('%!.17g', second_score) || ' ' || coalesce(memory, '') || coalesce(model || model_score || "
        "model_reason,"
        " ''), char(10)) FROM decisions");
    all.step();
    return std::string(all.text(0));
  }
  session::SessionRow session_row(const std::string& id = "s") {
    io::Database conversations = session::read_conversations(tree);
    return session::require_session(conversations, id);
  }
  std::optional<session::Summary> summary(const std::string& id = "s") {
    io::Database conversations = session::read_conversations(tree);
    return session::read_summary(conversations, id);
  }
  std::size_t requests(const std::string& about) const {
    const auto lines = server.requests();
    return static_cast<std::size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find("\"about\": \"" + about + "\"") != std::string::npos;
    }));
  }

  std::vector<memory::Decided> told;
  std::string fault, hint;
};

}  // namespace reef::test
