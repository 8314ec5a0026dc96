#include "reef/memory/internal/model_protocol.h"

#include <doctest/doctest.h>

using namespace reef::memory::internal;

namespace {

std::string chat(const std::string& content) {
  std::string text;
  for (const char c : content) text += c == '"' ? "\\\"" : c == '\n' ? "\\n" : std::string(1, c);
  return R"({"choices":[{"message":{"content":")" + text + R"("}}]})";
}

}  // namespace

TEST_CASE("the first object of a text is found where it ends") {
  CHECK(first_object(R"(so: {"a": "}\"{", "b": [{}]} and {})") == R"({"a": "}\"{", "b": [{}]})");
  CHECK(!first_object(R"({"a": [1, {)"));
  CHECK(!first_object("none"));
  CHECK(!first_object(R"({"a\)"));
}

TEST_CASE("sentences and reasons are one short line, ids count once") {
  auto read = read_verdicts(chat(R"({"scores":[{"id":1,"score":1,"reason":"a)"
                                 "\n"
                                 R"( \u001b[31m b"},{"id":2,"score":true},{"id":2.0,"score":1}, 7]})"),
                            2);
  CHECK(!read.of[0]);  // an escape within an escape: no JSON
  read = read_verdicts(chat("{\"scores\":[{\"id\":1,\"score\":1,\"reason\":\"a  "
                            "b\"},{\"id\":2,\"score\":true},{\"id\":2.0,\"score\":1}, 7]}"),
                       2);
  REQUIRE(read.of[0]);
  CHECK(read.of[0]->reason == "a b");
  CHECK(!read.of[1]);
  CHECK(read.fault.find("1 of 2") == 0);
  const auto said = read_statements(
      chat(
          R"({"sentences":[{"text":"One.","sources":[2,1,2,9]},{"text":"","sources":[1]},{"text":"Two.","sources":[]},3]})"),
      2);
  CHECK(said.is_of_use);
  REQUIRE(said.sentences.size() == 1);
  CHECK(said.sentences[0].sources == std::vector<std::size_t>{0, 1});
  CHECK(said.fault.find("3 sentences") == 0);
  const std::vector<Told> broken{{"a\xff", std::string(1999, 'x') + "ä\xff", "", "", ""}};
  CHECK(scoring_request("m", broken).find("xxx…") != std::string::npos);
  CHECK(scoring_request("m", broken).find(R"(a\ufffd)") == std::string::npos);
}
