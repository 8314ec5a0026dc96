#include "reef/memory/summarise.h"

#include <doctest/doctest.h>

#include <fstream>

#include "model_talk.h"
#include "reef/memory/forget.h"

using namespace reef;
using namespace std::chrono_literals;
using test::has_helper;
using Talk = test::ModelTalk;

TEST_CASE_FIXTURE(Talk, "a run has so much patience and no more, and the next one goes on") {
  if (!has_helper()) return;
  memory::LanguageModelOptions impatient = options("plain");
  impatient.patience = 1ms;
  memory::LanguageModel model(impatient);
  const auto report = decide(&model);
  CHECK(report.model->answered == 4);
  CHECK(report.model->summaries == 0);
  CHECK(report.model->not_summarised == 1);
  CHECK(model.requests() == 1);
  REQUIRE(model.fault());
  CHECK(decide_by("plain").model->summaries == 1);
}

TEST_CASE_FIXTURE(Talk, "a session that was quiet for a day gets a summary, whose sentences name their messages") {
  if (!has_helper()) return;
  say("late", "l1", "user", "Said an hour ago", "2024-03-08 23:30:00.000");
  say("given", "g1", "user", "With a summary of its own", "2024-03-01 10:00:00.000");
  say("other", "o1", "user", "Of another persona", "2024-03-01 10:00:00.000", "bob");
  { session::open_conversations(tree).execute("UPDATE sessions SET summary = 'by hand' WHERE id = 'given'"); }
  CHECK(decide_by("plain").model->summaries == 1);
  const auto row = session_row();
  CHECK(row.summary_model == "plain");
  CHECK(row.summary.find("user said: Did you see that?. assistant said: The precious") == 0);
  const auto made = summary();
  REQUIRE(made);
  REQUIRE(made->sentences.size() == 4);
  CHECK(made->sentences[1].external_ids == std::vector<std::string>{"m2"});
  CHECK(!summary("late"));
  CHECK(!summary("given"));
  CHECK(session_row("given").summary == "by hand");
  CHECK(!summary("other"));

  say("s", "m5", "user", "One more", "2024-03-05 10:00:00.000");
  CHECK(decide_by("plain").model->summaries == 1);
  CHECK(requests("summary") == 2);
  CHECK(
      session::require_session(*std::make_unique<io::Database>(session::read_conversations(tree)), "s").summary_model ==
      "plain");
  say("s", "m6", "user", "And one", "2024-03-06 10:00:00.000");
  CHECK(decide_by("out-of-range").model->summaries == 1);  // no sentence with a source: there is nothing to say
  CHECK(session_row().summary.empty());
  CHECK(summary()->sentences.empty());
  CHECK(decide_by("plain").model->summaries == 0);
}

TEST_CASE_FIXTURE(Talk, "a long session is told in pieces, the last eight of them") {
  if (!has_helper()) return;
  const std::string long_text(1900, 'x');
  for (int i = 0; i < 130; ++i)
    say("long", "n" + std::to_string(i), "user", "Number " + std::to_string(i) + " " + long_text,
        "2024-03-02 10:" + std::to_string(10 + i / 3) + ":00.000");
  { session::open_conversations(tree).execute("UPDATE sessions SET summary = 'by hand' WHERE id = 's'"); }
  CHECK(decide_by("plain").model->summaries == 1);
  CHECK(requests("summary") == 8);
  std::size_t longest = 0;
  for (const std::string& line : server.requests()) longest = std::max(longest, line.size());
  CHECK(longest < 45'000);
  const auto made = summary("long");
  REQUIRE(made);
  CHECK(made->sentences.empty());  // of more than 600 bytes
}

TEST_CASE_FIXTURE(Talk, "what is forgotten leaves reasons and summaries, which are written again without it") {
  if (!has_helper()) return;
  say("t", "t1", "user", "The museum is closed", "2024-03-01 10:02:00.000");
  decide_by("plain");
  REQUIRE(summary());
  REQUIRE(summary("t"));
  memory::ForgetOptions options;
  options.matching = "precious";
  CHECK(memory::plan_forget(tree, "alice", options).summarised == std::vector<std::string>{"s"});
  const auto report = memory::forget(tree, "alice", options);
  CHECK(report.summarised == std::vector<std::string>{"s"});
  CHECK(memory::to_json(report).find(R"("summaries":["s"])") != std::string::npos);
  CHECK(!summary());
  CHECK(session_row().summary.empty());
  CHECK(summary("t"));
  {
    io::Database memories = memory::read_memories(tree, "alice");
    auto left = memories.prepare("SELECT count(*) FROM decisions WHERE model_reason IS NOT NULL");
    left.step();
    CHECK(left.integer(0) == 0);
  }
  CHECK(decide_by("plain").model->summaries == 1);
  REQUIRE(summary());
  CHECK(session_row().summary.find("precious") == std::string::npos);
  CHECK(server.requests().back().find("precious") == std::string::npos);

  // With the messages, nothing is left that was said of them.
  options.matching = "museum";
  options.with_source = true;
  CHECK(memory::forget(tree, "alice", options).summarised == std::vector<std::string>{"s", "t"});
  CHECK(!summary());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree.root())) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    CHECK(bytes.find("museum") == std::string::npos);
  }
}
