#include "reef/memory/language_model.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "reef/io/process.h"
#include "reef/memory/consolidate.h"
#include "reef/memory/forget.h"
#include "reef/memory/schema.h"
#include "reef/memory/verify.h"
#include "reef/session/store.h"
#include "reef/session/summary.h"
#include "support/python_server.h"
#include "support/tree_fixture.h"

using namespace reef;
using namespace std::chrono_literals;

namespace {

bool has_helper() {
  try {
    static_cast<void>(io::helper_path("reef-http"));
    return true;
  } catch (const Error&) {
    MESSAGE("reef-http is not built: tests of the language model are skipped");
    return false;
  }
}

/// Two messages that wait in the buffer, one that would be dropped and one that would be kept, and one between.
struct Talk : test::TreeFixture {
  test::PythonServer server{"chat_server.py"};

  Talk() {
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
    return {server.address() + "/v1", model, "", 30s};
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

const memory::Decided& second_of(const std::vector<memory::Decided>& told, const std::string& id) {
  const auto found = std::find_if(
      told.begin(), told.end(), [&](const memory::Decided& one) { return one.second_score && one.external_id == id; });
  REQUIRE(found != told.end());
  return *found;
}

}  // namespace

TEST_CASE_FIXTURE(Talk,
                  "a language model moves second scores by .2 at most, in one request, and is told the turn before") {
  if (!has_helper()) return;
  memory::LanguageModel model(options("plain"));
  auto report = decide(&model);
  REQUIRE(report.model);
  CHECK(report.model->model == "plain");
  CHECK(report.model->asked == 4);
  CHECK(report.model->answered == 4);
  CHECK(report.model->fell_back == 0);
  CHECK(!model.fault());
  CHECK(requests("scores") == 1);
  CHECK(server.requests()[0].find(R"("before": {"speaker": "user", "text": "Did you see that?"})") !=
        std::string::npos);
  CHECK(server.requests()[0].find(R"("path": "/v1/chat/completions")") != std::string::npos);
  CHECK(server.requests()[0].find(R"("temperature": 0)") != std::string::npos);
  for (const auto& one : told) {
    if (!one.second_score) continue;
    CHECK(one.model == "plain");
    const double base = memory::second_score(one.scored.score, one.mentions);
    CHECK(*one.second_score == doctest::Approx(base + memory::model_term(one.model_score)));
    CHECK(one.state == (*one.second_score >= .5 ? "remembered" : "dropped"));
  }
  CHECK(second_of(told, "m2").model_score == 1);
  const auto& kept = second_of(told, "m2");
  CHECK(kept.state == "remembered");
  CHECK(kept.model_reason == "it says The precious harbour was painted");
  CHECK(memory::to_text(kept).find("plain gave 1.00: +0.20 (it says") != std::string::npos);
  CHECK(memory::to_json(kept).find(R"("language_model":{"model":"plain","score":1.0,"adds":0.2)") != std::string::npos);
  CHECK(memory::to_json(report).find(R"("asked":4,"answered":4,"fell_back":0,"summaries":1)") != std::string::npos);

  // Decided once: nothing is asked again, of summaries neither.
  const std::size_t all = server.requests().size();
  CHECK(!decide(&model).changed());
  CHECK(server.requests().size() == all);
}

TEST_CASE_FIXTURE(Talk, "whatever is wrong with an answer, decisions are those without a language model") {
  if (!has_helper()) return;
  std::filesystem::copy(tree.root(), dir / "fresh", std::filesystem::copy_options::recursive);
  const auto afresh = [&] {
    std::filesystem::remove_all(tree.root());
    std::filesystem::copy(dir / "fresh", tree.root(), std::filesystem::copy_options::recursive);
  };
  decide(nullptr);
  const std::string expected = decisions();
  CHECK(server.requests().empty());
  struct Wrong {
    const char* model;
    const char* fault;
  };
  for (const Wrong& wrong : {Wrong{"prose", "no JSON"},
                             {"error", "out of memory (4 attempts)"},
                             {"refuses", "policy"},
                             {"hangs-up", "attempts"},
                             {"no-json", "chat/completions"},
                             {"no-choice", "chat/completions"},
                             {"huge", ""},
                             {"cut", "ends before its end"},
                             {"other-list", "list"},
                             {"unknown-ids", "4 of 4 messages"},
                             {"out-of-range", "4 of 4 messages"},
                             {"nothing", "4 of 4 messages"},
                             {"locked", "bad key"}}) {
    CAPTURE(wrong.model);
    afresh();
    fault.clear();
    const auto report = decide_by(wrong.model);
    CHECK(decisions() == expected);
    CHECK(report.model->asked == 4);
    CHECK(report.model->answered == 0);
    CHECK(report.model->fell_back == 4);
    CHECK(!fault.empty());
    CHECK(fault.find(wrong.fault) != std::string::npos);
    CHECK(session_row().summary.empty());
    CHECK(memory::verify(tree, {"alice"}, 0ms, no_progress()).faults.empty());
  }
  afresh();
  memory::LanguageModelOptions hasty = options("slow");
  hasty.timeout = 200ms;
  memory::LanguageModel slow(hasty);
  CHECK(decide(&slow).model->fell_back == 4);
  CHECK(decisions() == expected);
  CHECK(slow.requests() == 1);  // the summary is not asked for any more
  CHECK(slow.fault()->hint().find("endpoints.llm.timeout_seconds") != std::string::npos);
  afresh();
  memory::LanguageModel nowhere({"http://127.0.0.1:1/v1", "plain", "", 30s});
  CHECK(decide(&nowhere).model->fell_back == 4);
  CHECK(decisions() == expected);
  CHECK(nowhere.requests() == 1);
}

TEST_CASE_FIXTURE(Talk, "an answer in part counts in part, and one in a fence counts") {
  if (!has_helper()) return;
  std::filesystem::copy(tree.root(), dir / "fresh", std::filesystem::copy_options::recursive);
  struct Part {
    const char* model;
    std::uint64_t answered;
  };
  for (const Part& part :
       {Part{"missing-ids", 1}, {"doubled-ids", 3}, {"fenced", 4}, {"text-ids", 4}, {"busy-twice", 4}}) {
    CAPTURE(part.model);
    std::filesystem::remove_all(tree.root());
    std::filesystem::copy(dir / "fresh", tree.root(), std::filesystem::copy_options::recursive);
    fault.clear();
    const auto report = decide_by(part.model);
    CHECK(report.model->answered == part.answered);
    CHECK(report.model->fell_back == 4 - part.answered);
    CHECK(fault.empty() == (part.answered == 4));
    CHECK(summary());
  }
}

TEST_CASE_FIXTURE(Talk, "a service that knows no schema is asked without") {
  if (!has_helper()) return;
  const auto report = decide_by("no-schema");
  CHECK(report.model->answered == 4);
  CHECK(report.model->summaries == 1);
  CHECK(report.model->requests == 3);
  CHECK(fault.empty());
  const auto lines = server.requests();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find(R"("format": "json_schema")") != std::string::npos);
  CHECK(lines[1].find(R"("format": null)") != std::string::npos);
  CHECK(lines[2].find(R"("format": null)") != std::string::npos);
}

TEST_CASE_FIXTURE(Talk, "three useless answers in a row are the last of a run") {
  if (!has_helper()) return;
  for (int i = 0; i < 90; ++i)
    say("t", "n" + std::to_string(i), "user", "I bought a garden of number " + std::to_string(i),
        "2024-03-02 10:" + std::to_string(10 + i / 2) + ":00.000");
  const auto report = decide_by("prose");
  CHECK(report.model->fell_back == 94);
  CHECK(report.model->asked == 3 * 16 - 12);  // 4 on the first day
  CHECK(server.requests().size() == 3);
  CHECK(report.model->not_summarised == 2);
}

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

TEST_CASE_FIXTURE(Talk, "nobody else waits while the language model thinks, and what was forgotten is not told") {
  if (!has_helper()) return;
  decide(nullptr, "2024-03-01T12:00:00Z");
  {
    io::Database memories = memory::open_memories(tree, "alice");
    memories.execute("INSERT INTO tombstones(message, forgotten_at) VALUES (1, '2024-03-01'), (3, '2024-03-01')");
  }
  memory::LanguageModelOptions hasty = options("slow");
  hasty.timeout = 3s;
  memory::LanguageModel slow(hasty);
  std::string failed;
  std::thread writer([&] {
    if (!test::wait_until([&] { return !server.requests().empty(); })) failed = "no request came";
    for (const auto& file : {session::conversations_file(tree), memory::memories_file(tree, "alice")}) try {
        io::Database database(file, io::OpenMode::write);
        database.execute("PRAGMA busy_timeout = 100");
        io::Transaction transaction(database);
        database.execute("CREATE TABLE other(x); DROP TABLE other");
        transaction.commit();
      } catch (const Error& error) {
        failed = error.what();
      }
  });
  decide(&slow);
  writer.join();
  CHECK(failed.empty());
  CHECK(server.requests()[0].find("Did you see") == std::string::npos);
  CHECK(server.requests()[0].find("dull") == std::string::npos);
  CHECK(server.requests()[0].find("precious") != std::string::npos);
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

TEST_CASE_FIXTURE(Talk,
                  "a key is sent from its file and stands in no message, and nothing can be sent without a model") {
  if (!has_helper()) return;
  write("key", "secret-for-tests\n");
  memory::LanguageModelOptions with_key = options("locked");
  with_key.key_file = dir / "in/key";
  memory::LanguageModel model(with_key);
  CHECK(decide(&model).model->answered == 4);
  CHECK(server.requests()[0].find(R"("key": "Bearer secret-for-tests")") != std::string::npos);

  write("key", "secret-that-is-wrong\n");
  say("s", "m9", "user", "One more", "2024-03-05 10:00:00.000");
  memory::LanguageModel refused(with_key);
  CHECK(decide(&refused).model->fell_back == 1);
  REQUIRE(refused.fault());
  CHECK(std::string(refused.fault()->what()).find("bad key Bearer …") != std::string::npos);
  CHECK(std::string(refused.fault()->what()).find("wrong") == std::string::npos);
  CHECK(refused.fault()->hint().find("endpoints.llm.key_file") != std::string::npos);

  say("s", "m10", "user", "And one", "2024-03-06 10:00:00.000");
  with_key.key_file = dir / "in/none";
  memory::LanguageModel no_key(with_key);
  CHECK_THROWS_WITH_AS(decide(&no_key), doctest::Contains("in/none"), Error);
  memory::LanguageModel nameless(options(""));
  CHECK_THROWS_WITH_AS(decide(&nameless), doctest::Contains("endpoints.llm.model"), Error);
  memory::LanguageModel odd({"localhost:1", "m", "", 1s});
  CHECK_THROWS_WITH_AS(decide(&odd), doctest::Contains("endpoints.llm.url"), Error);
}

TEST_CASE("addresses of this machine are told from others") {
  for (const char* url :
       {"http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:80/v1", "https://example.org/v1"})
    CHECK(!memory::is_sent_in_the_open(url));
  for (const char* url : {"http://example.org/v1", "http://127.0.0.1.example.org", "http://localhost.example.org:1",
                          "http://10.0.0.1/v1", "http://localhost@example.org/v1"})
    CHECK(memory::is_sent_in_the_open(url));
}
