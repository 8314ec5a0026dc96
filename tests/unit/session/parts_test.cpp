#include <doctest/doctest.h>

#include <fstream>

#include "reef/core/error.h"
#include "reef/session/archives.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/input.h"
#include "reef/session/internal/json_text.h"
#include "reef/session/internal/ordinals.h"
#include "reef/session/internal/own_format.h"
#include "support/temp_dir.h"

using namespace reef::session;
using internal::Input;

TEST_CASE("times of chats in all their forms") {
  const auto time = internal::time_of_send_date;
  CHECK(time("June 19, 2023 2:20pm") == "2023-06-19 14:20:00.000");
  CHECK(time("December 1, 2024 12:05am") == "2024-12-01 00:05:00.000");
  CHECK(time("december 31, 2024 12:05 PM") == "2024-12-31 12:05:00.000");
  CHECK(time("2023-06-19 @14h 20m 55s 123ms") == "2023-06-19 14:20:55.123");
  CHECK(time("2023-6-9@4h2m5s") == "2023-06-09 04:02:05.000");
  CHECK(time("2023-06-19T14:20:55.5+02:00") == "2023-06-19 12:20:55.500");
  CHECK(time("1687184455123") == "2023-06-19 14:20:55.123");
  CHECK(time("1687184455") == "2023-06-19 14:20:55.000");
  for (const char* none :
       {"", "June", "June 31, 2023 2:20pm", "June 19, 2023 13:20pm", "June 19, 2023 2:60pm", "2023-06-19 @24h 00m 00s",
        "2023-06-19 @14h 20m", "99999999999999999999", "yesterday", "@", "-"})
    CHECK_MESSAGE(time(none) == "", none);
}

TEST_CASE("times of the own form: RFC 3339, what ISO 8601 allows beside it, numbers that are no dates") {
  const auto time = internal::database_time;
  for (const char* eight : {"2026-01-01T08:00:00Z", "2026-01-01T08:00Z", "2026-01-01 08:00", "2026-01-01T09:00+01:00",
                            "2026-01-01T09:00:00+0100", "2026-01-01T09:00:00.000+01", "2026-01-01T09:00+01",
                            "1767254400", "1767254400.0", "1767254400000"})
    CHECK_MESSAGE(time(eight) == "2026-01-01 08:00:00.000", eight);
  for (const char* none : {"2026", "20260101", "1e3", "inf", "nan", "-1", "2026-01-01T08:0", "2026-01-01T08:00.5Z",
                           "2026-01-01T08:00:00+1", "2026-01-01T08:00:00+010", "2026-01-01T0800Z", "1767254400.0.0"})
    CHECK_MESSAGE(time(none) == "", none);
  CHECK(internal::read_own(R"({"session":"s","role":"r","content":"x","created_at":1767254400000})").message.created ==
        "2026-01-01 08:00:00.000");
  CHECK(internal::read_own(R"({"session":"s","role":"r","content":"x","created_at":1767254400})").message.created ==
        "2026-01-01 08:00:00.000");
}

TEST_CASE("names of folders stay inside their folder and are told apart") {
  CHECK(file_name_of("a-Z_0.9") == "a-Z_0.9");
  CHECK(file_name_of("../x") == "%2E.%2Fx");
  CHECK(file_name_of(".") == "%2E");
  CHECK(file_name_of("conversations.sqlite") == "%63onversations.sqlite");
  CHECK(file_name_of("a b%\xc3\xa9") == "a%20b%25%C3%A9");
  const std::string name = file_name_of(std::string(5000, '/')), other = file_name_of(std::string(5001, '/'));
  CHECK(name.size() == 160 + 1 + 64);
  CHECK(name != other);
  CHECK(file_name_of(std::string(160, 'x')) == std::string(160, 'x'));
}

TEST_CASE("lines know where they begin, behind one beyond all measure, too") {
  const reef::test::TempDir dir;
  {
    std::ofstream file(dir / "lines");
    file << "ab\n" << std::string(Input::kLongest + 5, 'x') << "\n\nc";
  }
  Input input(dir / "lines");
  std::vector<std::uint64_t> offsets;
  while (const auto line = input.next_line()) offsets.push_back(line->offset);
  CHECK(offsets == std::vector<std::uint64_t>{0, 3, Input::kLongest + 9, Input::kLongest + 10});
}

TEST_CASE("an input tells documents from lines, and finds values and their lines") {
  CHECK(Input::of_text("[1]").is_document());
  CHECK(Input::of_text("\n {\n \"a\": 1}").is_document());
  CHECK_FALSE(Input::of_text("{\"a\":1}\n{\"b\":2}").is_document());
  CHECK_FALSE(Input::of_text("{\"a\":\n{\"b\":2}\n").is_document());  // a cut line among others
  CHECK_FALSE(Input::of_text("{\"a\":\"cut\nmore\n{\"b\":2}\n").is_document());
  CHECK_FALSE(Input::of_text("{\"a\":\"cut,\nmore\n").is_document());
  CHECK_FALSE(Input::of_text("{\"a\":1\nmore\n").is_document());
  CHECK(Input::of_text("{\"a\":1\n,\"b\":2}").is_document());
  CHECK(Input::of_text("{\"a\":[\n1]}").is_document());
  CHECK(Input::of_text("{\"a\":[\n  {\"b\":2}\n]}").is_document());
  CHECK_FALSE(Input::of_text("").is_document());
  Input input = Input::of_text(" [ {\"a\":\"}]\\\"\"},\n[1,[2]] , 7\n,\"x,y\"]\n{\"b\"");
  std::vector<std::pair<std::string, std::uint64_t>> values;
  bool is_cut = false;
  while (const auto piece = input.next_value()) {
    values.emplace_back(std::string(piece->bytes), piece->line);
    is_cut = piece->is_cut;
  }
  const std::vector<std::pair<std::string, std::uint64_t>> expected{
      {"{\"a\":\"}]\\\"\"}", 1}, {"[1,[2]]", 2}, {"7", 2}, {"\"x,y\"", 3}, {"{\"b\"", 4}};
  CHECK(values == expected);
  CHECK(is_cut);
  Input brackets = Input::of_text("}}]{}");
  int count = 0;
  while (brackets.next_value()) ++count;
  CHECK(count == 4);
}

TEST_CASE("JSON on one line, digits and order as they came") {
  CHECK(internal::compact_json(" {\"b\" : 1.50, \"a\":[ true,null , \"\\u00e9\\n\"], \"b\":{} } ") ==
        "{\"b\":1.50,\"a\":[true,null,\"\xc3\xa9\\n\"],\"b\":{}}");
  CHECK_FALSE(internal::compact_json("{"));
  CHECK_FALSE(internal::compact_json(std::string(200, '[') + std::string(200, ']')));
}

TEST_CASE("a line that was written reads as what it was") {
  SessionRow row;
  row.title = "T";
  Message message;
  message.session = "s\n";
  message.role = "user";
  message.content = std::string("nul \0 quote \" slash \\ \x7f", 24);
  message.created = "2026-01-02 03:04:05.006";
  message.external_id = "x";
  message.tokens = 5;
  message.metadata = "{\"a\":[1e3]}";
  std::string line;
  internal::write_own(line, message, {&row, true});
  CHECK(line.find('\n') == line.size() - 1);
  const auto read = internal::read_own(line);
  CHECK(read.fault == "");
  CHECK(read.message.session == message.session);
  CHECK(read.message.content == message.content);
  CHECK(read.message.created == message.created);
  CHECK(read.message.tokens == message.tokens);
  CHECK(read.message.metadata == message.metadata);
  CHECK(read.message.title == "T");
}

TEST_CASE("ids of equal messages are told apart by their order") {
  internal::Ordinals ordinals;
  const auto first = ordinals.digest_of("s", "r", "", "yes"), second = ordinals.digest_of("s", "r", "", "yes");
  CHECK(first == message_digest("s", "r", "", "yes", 0));
  CHECK(second == message_digest("s", "r", "", "yes", 1));
  CHECK(ordinals.digest_of("s", "r", "", "yes") == message_digest("s", "r", "", "yes", 2));
  CHECK(message_digest("ab", "c", "", "", 0) != message_digest("a", "bc", "", "", 0));
  for (int i = 0; i < 5000; ++i)
    CHECK(ordinals.digest_of("s", "r", "", std::to_string(i)) == message_digest("s", "r", "", std::to_string(i), 0));
}
