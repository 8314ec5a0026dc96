#include "reef/memory/language_model.h"

#include <doctest/doctest.h>

#include <thread>

#include "model_talk.h"
#include "reef/memory/verify.h"

using namespace reef;
using namespace std::chrono_literals;
using test::has_helper;
using Talk = test::ModelTalk;

namespace {

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
