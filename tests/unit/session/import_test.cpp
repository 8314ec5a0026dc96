#include "reef/session/import.h"

#include <doctest/doctest.h>

#include <csignal>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "support/tree_fixture.h"

using namespace reef;
using session::Format;

namespace {

struct Fixture : test::TreeFixture {
  session::ImportReport import(const std::string& content, Format format = Format::automatic,
                               const std::string& name = "chat.json") {
    session::ImportOptions options;
    options.files = {write(name, content)};
    options.persona = "alice";
    options.format = format;
    return session::import_conversations(tree, options, no_progress());
  }

  std::vector<session::Message> messages(const std::string& session) {
    io::Database database = session::read_conversations(tree);
    session::Archives archives;
    std::vector<session::Message> found;
    session::read_messages(database, archives, session, [&](session::Message& message) { found.push_back(message); });
    return found;
  }
  std::string texts(const std::string& session) {
    std::string joined;
    for (const auto& message : messages(session)) joined += (joined.empty() ? "" : "|") + message.content;
    return joined;
  }
  std::vector<std::string> sessions() {
    io::Database database = session::read_conversations(tree);
    std::vector<std::string> ids;
    for (const auto& row : session::list_sessions(database)) ids.push_back(row.id);
    return ids;
  }
};

std::string node(const std::string& id, const std::string& parent, const std::string& text, double time) {
  std::string message = "null";
  if (!text.empty())
    message = "{\"id\":\"m-" + id + "\",\"author\":{\"role\":\"user\"},\"create_time\":" + std::to_string(time) +
              ",\"content\":{\"content_type\":\"text\",\"parts\":[\"" + text + "\"]}}";
  return "\"" + id + "\":{\"id\":\"" + id + "\",\"message\":" + message +
         ",\"parent\":" + (parent.empty() ? "null" : "\"" + parent + "\"") + ",\"children\":[]}";
}

std::string conversation(const std::string& nodes, const std::string& current) {
  return "{\"title\":\"T\",\"create_time\":1700000000,\"mapping\":{" + nodes + "},\"current_node\":\"" + current +
         "\",\"conversation_id\":\"c\"}";
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "OpenAI: one a line, a whole file, an array, parts, tool calls, faults by name") {
  const std::string one =
      "{\"id\":\"o1\",\"created\":1700000000,\"title\":\"Tools\",\"messages\":[{\"role\":\"user\",\"content\":["
      "{\"type\":\"text\",\"text\":\"look\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:x\"}},"
      "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\"}}]},"
      "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t\",\"function\":{\"name\":\"f\"}}]},"
      "{\"role\":\"tool\",\"tool_call_id\":\"t\",\"name\":\"f\",\"content\":\"42\"},{\"role\":\"assistant\","
      "\"content\":null},7]}";
  auto report = import(one + "\n{\"messages\":[{\"role\":\"user\",\"content\":\"second\"}]}\n");
  CHECK(report.counts.added == 4);
  CHECK(report.skipped == 2);
  REQUIRE(report.faults.size() == 2);
  CHECK(report.faults[0].line == 1);
  CHECK(report.faults[0].reason == "messages[3]: content is missing");
  CHECK(report.faults[1].reason == "messages[4]: not an object");
  CHECK(texts("o1") == "look\n[image]\n[file: a.pdf]||42");
  const auto stored = messages("o1");
  CHECK(stored[1].metadata == R"({"tool_calls":[{"function":{"name":"f"},"id":"t"}]})");
  CHECK(stored[2].speaker == "f");
  CHECK(stored[0].created == "2023-11-14 22:13:20.000");
  CHECK(sessions().size() == 2);
  // An array over many lines, and a single object: the same conversations again.
  CHECK(import("[\n" + one + "\n,\n{\n\"messages\": [ {\"role\":\"user\",\n\"content\":\"second\"}]}\n]")
            .counts.unchanged == 4);
  CHECK(
      import("{\n\"messages\":\n[{\"role\":\"user\",\"content\":\"second\"}]\n}\n", Format::openai).counts.unchanged ==
      1);
}

TEST_CASE_FIXTURE(Fixture, "ChatGPT: the current branch is the session, others are sessions of what they add") {
  const std::string tree_of_five = node("root", "", "", 0) + "," + node("a", "root", "hello", 1) + "," +
                                   node("b", "a", "first answer", 2) + "," + node("c", "a", "second answer", 3) + "," +
                                   node("d", "c", "thanks", 4) + "," + node("e", "c", "why", 5);
  auto report = import("[" + conversation(tree_of_five, "e") + "]");
  CHECK(report.counts.added == 5);
  CHECK(report.faults.empty());
  CHECK(texts("c") == "hello|second answer|why");
  CHECK(texts("c-branch-1") == "first answer");
  CHECK(texts("c-branch-2") == "thanks");
  CHECK(messages("c-branch-2")[0].metadata == R"({"parent":"m-c"})");
  CHECK(import("[" + conversation(tree_of_five, "e") + "]").changed() == false);
  // Seen from another branch and grown: nothing is stored twice, branches go on where they began.
  const std::string grown =
      tree_of_five + "," + node("f", "b", "more of the first", 6) + "," + node("g", "a", "third answer", 7);
  report = import("[" + conversation(grown, "f") + "]");
  CHECK(report.counts.added == 2);
  CHECK(report.counts.updated == 0);
  CHECK(texts("c-branch-3") == "third answer");
  CHECK(import(conversation(grown, "g")).counts.added == 0);
}

TEST_CASE_FIXTURE(Fixture, "ChatGPT: circles, missing parents, odd contents and a cut file") {
  auto report = import(conversation(node("a", "b", "one", 1) + "," + node("b", "a", "two", 2), "a"));
  CHECK(report.counts.added == 2);
  CHECK(texts("c") == "two|one");
  CHECK(report.faults.empty());
  report = import("[" + conversation(node("x", "nowhere", "orphan", 1) + ",\"y\":7", "gone") + "," +
                  conversation(node("z", "", "cut", 1), "z").substr(0, 60));
  CHECK(texts("c") == "orphan|two|one");
  CHECK(report.skipped == 2);
  CHECK(report.faults[0].reason == "mapping.y: not an object");
  CHECK(report.faults[1].reason.find("cut off") == 0);
  const auto message = [](const std::string& id, const std::string& content) {
    return "\"" + id + "\":{\"message\":{\"id\":\"" + id + "\",\"author\":{\"role\":\"tool\",\"name\":\"python\"}," +
           "\"create_time\":null,\"recipient\":\"all\",\"content\":" + content + "},\"parent\":null,\"children\":[]}";
  };
  import("{\"id\":\"odd\",\"mapping\":{" +
             message("p",
                     R"({"content_type":"multimodal_text","parts":[{"content_type":"image_asset_pointer"},"seen"]})") +
             "," + message("q", R"({"content_type":"code","text":"1+1"})") + "," +
             message("r", R"({"content_type":"thoughts","thoughts":[{"summary":"s","content":"t"}]})") + "," +
             message("s", R"({"content_type":"text","parts":[""]})") + "}}",
         Format::chatgpt);
  CHECK(texts("odd") + texts("odd-branch-1") + texts("odd-branch-2") == "[image]\nseen1+1s\nt");
}

TEST_CASE_FIXTURE(Fixture, "ChatGPT: a later export puts each message behind the one that it answers") {
  const std::string a = node("a", "", "A", 1), b = node("b", "a", "B", 2), b2 = node("b2", "a", "B2", 3);
  import(conversation(a + "," + b, "b"));
  // Another answer was asked for and goes on, and the first one goes on as well.
  const std::string grown = a + "," + b + "," + b2 + "," + node("d", "b2", "D", 4) + "," + node("e", "b", "E", 5);
  CHECK(import(conversation(grown, "d")).counts.added == 3);
  CHECK(texts("c") == "A|B|E");
  CHECK(texts("c-branch-1") == "B2|D");
  CHECK(import(conversation(grown, "d")).changed() == false);
  CHECK(import(conversation(grown + "," + node("f", "d", "F", 6) + "," + node("g", "d", "G", 7), "g")).counts.added ==
        2);
  CHECK(texts("c-branch-1") == "B2|D|G");
  CHECK(texts("c-branch-2") == "F");
  CHECK(texts("c") == "A|B|E");
}

TEST_CASE_FIXTURE(Fixture, "ChatGPT: a branch that becomes the current one goes on where it is") {
  const std::string fork = node("a", "", "A", 1) + "," + node("b", "a", "B", 2) + "," + node("b2", "a", "B2", 3);
  import(conversation(fork, "b"));
  CHECK(texts("c") == "A|B");
  CHECK(texts("c-branch-1") == "B2");
  import(conversation(fork + "," + node("d", "b2", "D", 4), "d"));
  CHECK(texts("c") == "A|B");
  CHECK(texts("c-branch-1") == "B2|D");
  // An export that has lost B: it is still an answer to A.
  import(conversation(node("a", "", "A", 1) + "," + node("b3", "a", "B3", 5), "b3"));
  CHECK(texts("c") == "A|B");
  CHECK(texts("c-branch-2") == "B3");
}

TEST_CASE_FIXTURE(Fixture,
                  "ChatGPT: messages keep their times, and only a first one without takes the conversation's") {
  const std::string timeless = R"("t":{"message":{"id":"t","author":{"role":"system"},"create_time":null,)"
                               R"("content":{"content_type":"text","parts":["T"]}},"parent":null})";
  const std::string nodes = timeless + "," + node("a", "t", "A", 1600000000) + "," + node("b", "a", "B", 1600000060) +
                            "," + node("r", "", "", 0);
  import(conversation(nodes, "b"));  // it says that it began in 2023
  const auto stored = messages("c");
  REQUIRE(stored.size() == 3);
  CHECK(stored[0].created == "2020-09-13 12:26:40.000");
  CHECK(stored[1].created == "2020-09-13 12:26:40.000");
  CHECK(stored[2].created == "2020-09-13 12:27:40.000");
  import("{\"id\":\"late\",\"create_time\":1500000000,\"mapping\":{" + nodes + "},\"current_node\":\"b\"}");
  CHECK(messages("late")[0].created == "2017-07-14 02:40:00.000");
}

TEST_CASE_FIXTURE(Fixture, "ChatGPT: texts by other names, and a note for what is not known") {
  std::string nodes;
  int count = 0;
  for (const char* content : {R"({"content_type":"model_editable_context","model_set_context":"1. Likes tea."})",
                              R"({"content_type":"citable_code_output","output_str":"42"})",
                              R"({"content_type":"computer_output","state":{"type":"browser","text":"a page"}})",
                              R"({"content_type":"tether_browsing_display","result":"","summary":"in short"})",
                              R"({"content_type":"app_pairing_content","workspaces":[{}]})",
                              R"({"content_type":"model_editable_context","model_set_context":""})"}) {
    const std::string id = "n" + std::to_string(count), above = count == 0 ? "" : "n" + std::to_string(count - 1);
    nodes += (count++ == 0 ? "\"" : ",\"") + id + R"(":{"message":{"author":{"role":"tool"},"content":)" + content +
             R"(},"parent":")" + above + "\"}";
  }
  import(conversation(nodes, "n5"));
  CHECK(texts("c") == "1. Likes tea.|42|a page|in short|[app_pairing_content]");
}

TEST_CASE_FIXTURE(Fixture, "OpenAI: messages alone in an array are one conversation") {
  const std::string list = R"([{"role":"user","content":"hello"},{"role":"assistant","content":null,"refusal":"no"},
    {"role":"assistant","content":null,"audio":{"id":"x","transcript":"spoken"}}])";
  auto report = import(list);
  CHECK(report.counts.added == 3);
  CHECK(report.counts.sessions == 1);
  CHECK(report.faults.empty());
  CHECK(texts(sessions()[0]) == "hello|no|spoken");
  CHECK(import(list, Format::openai).changed() == false);
  CHECK(import("[" + list + "]").changed() == false);
  // One on each line; one with what cannot be used; conversations with what the own form would refuse before messages.
  report = import(R"([{"role":"user","content":"one"}])"
                  "\n"
                  R"([{"role":"user","content":"two"},7,{"role":"user"}])"
                  "\n");
  CHECK(report.counts.sessions == 2);
  REQUIRE(report.faults.size() == 2);
  CHECK(report.faults[0].reason == "not a JSON object");
  CHECK(report.faults[1].reason == "messages[1]: content is missing");
  CHECK(report.faults[1].line == 2);
  report = import(R"({"created_at":"yesterday","title":7,"id":"odd","messages":[{"role":"user","content":"x"}]})");
  CHECK(report.counts.added == 1);
  CHECK(texts("odd") == "x");
}

TEST_CASE_FIXTURE(Fixture, "what was read before a signal stays") {
  const auto line = [](const std::string& content) {
    return R"({"session":"s","role":"user","content":")" + content + "\"}\n";
  };
  session::ImportOptions options;
  options.files = {
      write("long.jsonl", line("a") + line("b") + "nonsense\n" + line("c") + line(std::string(2 << 20, 'x')))};
  options.persona = "alice";
  options.on_fault = [](const session::ImportFault& fault) {
    CHECK(fault.line == 3);
    pending_signal = SIGINT;
  };
  CHECK_THROWS_AS(session::import_conversations(tree, options, no_progress()), Error);
  pending_signal = 0;
  CHECK(texts("s") == "a|b|c");
}

TEST_CASE_FIXTURE(Fixture, "one line that is cut loses nothing of the others") {
  const auto line = [](const std::string& id) {
    return R"({"session":"s","role":"user","content":")" + id + R"(","id":")" + id + "\"}\n";
  };
  auto report = import("{\"session\":\"s\",\"role\":\"user\",\"content\":\"cut\nof it\n" + line("a") + line("b"));
  CHECK(report.counts.added == 2);
  CHECK(report.skipped == 2);
  const auto one = [](const std::string& id, const std::string& text) {
    return R"({"id":")" + id + R"(","messages":[{"role":"user","content":")" + text + "}]}";
  };
  report = import("[" + one("x", "cut") + ",\n" + one("y", "whole\"") + ",\n" + one("z", "whole\"") + "]\n");
  CHECK(report.counts.added == 2);
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].line == 1);
  report = import(
      "[\n  {\n    \"id\": \"p\",\n    \"messages\": [{\"role\": \"user\",\n      \"content\": \"cut\n},\n"
      "      {\"role\": \"user\"}]\n  },\n  " +
      one("q", "whole\"") + "\n]\n");
  CHECK(report.counts.added == 1);
  CHECK(report.skipped == 1);
}

TEST_CASE_FIXTURE(Fixture, "one id twice in a file, two titles, a number as metadata: a second run is already so") {
  const std::string twice = R"({"session":"s","role":"user","content":"first","id":"m","title":"Old","metadata":1e3})"
                            "\n"
                            R"({"session":"s","role":"user","content":"second","id":"m","title":"New"})"
                            "\n";
  for (const bool again : {false, true}) {
    const auto report = import(twice);
    CHECK(report.changed() == !again);
    CHECK(report.counts.updated == 0);
    REQUIRE(report.faults.size() == 1);
    CHECK(report.faults[0].line == 2);
    CHECK(report.faults[0].reason == "message 'm' of session 's' came before and differs: the first one stays");
  }
  CHECK(texts("s") == "first");
  CHECK(messages("s")[0].metadata == R"({"value":1e3})");
  io::Database database = session::read_conversations(tree);
  CHECK(session::require_session(database, "s").title == "New");
  // Another file may change it.
  CHECK(import(R"({"session":"s","role":"user","content":"second","id":"m"})").counts.updated == 1);
  CHECK(texts("s") == "second");
}

TEST_CASE_FIXTURE(Fixture, "SillyTavern: a header that names nobody; a message that was edited stays one") {
  const auto chat = [](const std::string& answer) {
    return "{\"user_name\":\"unused\",\"character_name\":\"unused\",\"chat_metadata\":{}}\n"
           "{\"name\":\"You\",\"is_user\":true,\"mes\":\"hi\"}\n"
           "{\"name\":\"Sera\",\"is_user\":false,\"mes\":\"" +
           answer + "\"}\n{\"name\":\"You\",\"is_user\":true,\"mes\":\"hi\"}\n";
  };
  CHECK(import(chat("good day"), Format::automatic, "2025-1-1.jsonl").counts.added == 3);
  CHECK(sessions() == std::vector<std::string>{"Sera - 2025-1-1"});
  const auto report = import(chat("good night"), Format::automatic, "2025-1-1.jsonl");
  CHECK(report.counts.updated == 1);
  CHECK(report.counts.unchanged == 2);
  CHECK(texts("Sera - 2025-1-1") == "hi|good night|hi");
  import("{\"user_name\":\"unused\",\"character_name\":\"unused\"}\n{\"is_user\":true,\"mes\":\"alone\"}\n",
         Format::automatic, "caf\xe9.jsonl");
  CHECK(texts("caf\xEF\xBF\xBD") == "alone");
}

TEST_CASE_FIXTURE(Fixture, "SillyTavern: header, both dates, swipes; a chat without a header goes by its file") {
  const std::string chat =
      "{\"user_name\":\"You\",\"character_name\":\"Sera\",\"create_date\":\"2023-06-19 @14h 20m 55s "
      "123ms\",\"chat_metadata\":{}}\n"
      "{\"name\":\"Sera\",\"is_user\":false,\"is_system\":false,\"send_date\":\"June 19, 2023 "
      "2:20pm\",\"mes\":\"*waves*\",\"swipe_id\":1,\"swipes\":[\"*nods*\",\"*waves*\"]}\n"
      "{\"name\":\"You\",\"is_user\":true,\"send_date\":1687184500123,\"mes\":\"hi\"}\n"
      "{\"name\":\"Note\",\"is_user\":false,\"is_system\":true,\"send_date\":\"2023-06-19T14:25:00.000Z\",\"mes\":"
      "\"aside\"}\n"
      "{\"name\":\"You\",\"is_user\":true,\"mes\":null}\n";
  const auto report = import(chat, Format::automatic, "2023-6-19 @14h.jsonl");
  CHECK(report.counts.added == 3);
  REQUIRE(report.faults.size() == 1);
  CHECK(report.faults[0].line == 5);
  const auto stored = messages("Sera - 2023-6-19 @14h");
  REQUIRE(stored.size() == 3);
  CHECK(stored[0].role == "assistant");
  CHECK(stored[0].metadata == R"({"swipe_id":1,"swipes":["*nods*","*waves*"]})");
  CHECK(stored[0].created == "2023-06-19 14:20:00.000");
  CHECK(stored[1].role == "user");
  CHECK(stored[1].created == "2023-06-19 14:21:40.123");
  CHECK(stored[2].role == "system");
  CHECK(import(chat, Format::sillytavern, "2023-6-19 @14h.jsonl").counts.unchanged == 3);
  CHECK(import("{\"name\":\"A\",\"mes\":\"x\"}\n", Format::automatic, "lone.jsonl").counts.added == 1);
  CHECK(texts("lone") == "x");
}

TEST_CASE_FIXTURE(Fixture, "hostile input: deep, long, of bytes that are no UTF-8, empty") {
  CHECK(import("").changed() == false);
  CHECK(import("[]").changed() == false);
  CHECK(import("[").skipped == 1);
  const std::string deep(100'000, '[');
  auto report = import("{\"session\":\"s\",\"role\":\"user\",\"content\":\"x\",\"metadata\":" + deep + "\n");
  CHECK(report.faults[0].reason == "nested deeper than 100");
  report = import("{\"messages\":" + deep + std::string(100'000, ']') + "}\n");
  CHECK(report.faults[0].reason == "nested deeper than 100");
  report = import("{\"session\":\"s\",\"role\":\"user\",\"content\":\"" + std::string(1 << 20, 'x') +
                  "\",\"id\":\"long\"}\n" +
                  "{\"session\":\"s\",\"role\":\"user\",\"content\":\"a\xff\",\"id\":\"bytes\"}\n" +
                  "{\"session\":\"s\",\"role\":\"user\",\"content\":\"\\ud800\",\"id\":\"half\"}\n");
  CHECK(report.counts.added == 2);
  CHECK(report.faults.size() == 1);
  CHECK(messages("s")[0].content.size() == 1 << 20);
  CHECK(messages("s")[1].content == "a\xEF\xBF\xBD");
  CHECK(import("\xEF\xBB\xBF{\"session\":\"bom\",\"role\":\"user\",\"content\":\"x\"}\r\n").counts.added == 1);
  CHECK(import("{\"messages\":[]}", Format::jsonl).skipped == 1);
  CHECK(import("{\"session\":\"s\",\"role\":\"r\",\"content\":\"x\"}", Format::chatgpt).skipped == 1);
}

TEST_CASE_FIXTURE(Fixture, "a message without a time has that of the one before it, else its file's") {
  std::filesystem::last_write_time(
      write("t.jsonl",
            "{\"session\":\"s\",\"role\":\"u\",\"content\":\"a\"}\n"
            "{\"session\":\"s\",\"role\":\"u\",\"content\":\"b\",\"created_at\":\"2026-05-05\"}\n"
            "{\"session\":\"s\",\"role\":\"u\",\"content\":\"c\"}\n"),
      std::chrono::file_clock::from_sys(
          std::chrono::sys_seconds(std::chrono::sys_days(std::chrono::year(2026) / 3 / 3))));
  session::ImportOptions options;
  options.files = {(dir / "in/t.jsonl").string()};
  options.persona = "alice";
  session::import_conversations(tree, options, no_progress());
  const auto stored = messages("s");
  REQUIRE(stored.size() == 3);
  CHECK(stored[0].created == "2026-03-03 00:00:00.000");
  CHECK(stored[2].created == "2026-05-05 00:00:00.000");
  CHECK(stored[2].content == "c");
}
