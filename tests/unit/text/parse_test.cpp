#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/text/neutral.h"
#include "reef/text/parse.h"
#include "text_fixtures.h"

namespace reef::text {
namespace {

using namespace test;
using Strings = std::vector<std::string>;

TEST_CASE("plain text is cut at empty lines and keeps its offsets") {
  const Document document = parse_text("\n One\ntwo\n \t\nThree  \r\n\r\nFour", Format::text);
  CHECK(block_texts(document) == Strings{" One\ntwo", "Three", "Four"});
  CHECK(document.blocks[0].start == 1);
  CHECK(document.title.empty());
}

TEST_CASE("Markdown headings make the path") {
  const Document document = parse_text(
      "# Install `reef` {#top}\n\nIntro.\n\n## From [source](http://x) "
      "##\ntext\n\nSetext\n------\n\nmore\n\nTop\n===\nend\n"
      "#no heading\n####### neither\n",
      Format::markdown);
  CHECK(document.title == "Install reef");
  REQUIRE(document.blocks.size() == 8);
  CHECK(document.blocks[1].heading_path == "Install reef");
  CHECK(document.blocks[3].heading_path == "Install reef > From source");
  CHECK(document.blocks[5].heading_path == "Install reef > Setext");
  CHECK(document.blocks[7].heading_path == "Top");
  CHECK(block_text(document, document.blocks[7]) == "end\n#no heading\n####### neither");
}

TEST_CASE("Markdown code is one block and hides what looks like markup") {
  const Document document =
      parse_text("text\n```sh\n# no heading\n\n~~~\nls\n```\nafter\n\n~~~~\n~~~\nopen", Format::markdown);
  CHECK(block_texts(document) == Strings{"text", "```sh\n# no heading\n\n~~~\nls\n```", "after", "~~~~\n~~~\nopen"});
  CHECK(document.blocks[1].verbatim);
  CHECK_FALSE(document.blocks[2].verbatim);
}

TEST_CASE("Markdown lists and tables") {
  const Document document = parse_text(
      "- one\n- two\n  goes on\n\n  and on\n1. three\n\nnot in it\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\nend\n",
      Format::markdown);
  CHECK(block_texts(document) == Strings{"- one", "- two\n  goes on\n\n  and on", "1. three", "not in it",
                                         "| a | b |\n|---|:-:|\n| 1 | 2 |", "end"});
  CHECK(document.blocks[4].verbatim);
}

TEST_CASE("front matter is no text but may name the title") {
  const Document document = parse_text("---\ntags: [a]\ntitle: \"My page\"\n---\n\n# Other\ntext\n", Format::markdown);
  CHECK(document.title == "My page");
  CHECK(block_texts(document) == Strings{"# Other", "text"});
  CHECK(parse_text("---\nnever closed\n", Format::markdown).blocks.size() == 1);
}

TEST_CASE("source code keeps functions together") {
  const Document document =
      parse_text("import os\n\ndef f():\n    a = 1\n\n    return a\n\ndef g():\n    pass\n", Format::source);
  CHECK(block_texts(document) == Strings{"import os", "def f():\n    a = 1\n\n    return a", "def g():\n    pass"});
  CHECK(parse_text("int f() {\n  a();\n\n  b();\n\n}\n\nint g();\n", Format::source).blocks.size() == 2);
}

TEST_CASE("a man(7) page") {
  const Document document = parse_text(R"(.\" comment
.TH REEF\-X 1 2026-01-01
.de XX
hidden
..
.ds Nm reef\-x
.SH NAME
\*(Nm \- do \fIthings\fR
.SH OPTIONS
.TP
\fB\-f\fR, \fB\-\-force\fP
Do it
.B anyway .
.if t .I hidden
.ie n \{\
shown
.\}
.el \{\
hidden
.\}
.IP \(bu 2
Item \(co "quoted".
.PP
See
.BR ls (1).
.nf
  code  here
.fi
.SS "Sub part"
.TS
l l.
a	b
T{
long
cell
T}	d
.TE
)",
                                       Format::man);
  CHECK(document.title == "reef-x - do things");
  CHECK(block_texts(document) == Strings{"NAME", "reef-x - do things", "OPTIONS",
                                         "-f, --force\n    Do it anyway . shown", "•\n    Item © \"quoted\".",
                                         "See ls(1).", "  code  here", "Sub part", "a | b\nlong cell | d"});
  CHECK(document.blocks.back().heading_path == "OPTIONS > Sub part");
  CHECK(is_sound(document));
}

TEST_CASE("an mdoc(7) page") {
  const Document document = parse_text(R"(.Dd May 1, 2026
.Dt FILE 1
.Os
.Sh NAME
.Nm file
.Nd determine type
.Sh SYNOPSIS
.Nm
.Op Fl bc
.Op Fl Fl mime
.Ar
.Sh DESCRIPTION
The
.Nm
utility
.Pq see Xr magic 5 ,
reads
.Pa /etc/magic .
.Bl -tag -width x
.It Fl b , Fl Fl brief
Be
.Em brief .
.El
.Bd -literal
$ file  x
.Ed
)",
                                       Format::man);
  CHECK(document.title == "file - determine type");
  CHECK(block_texts(document) == Strings{"NAME", "file - determine type", "SYNOPSIS", "file [-bc] [--mime] file ...",
                                         "DESCRIPTION", "The file utility (see magic(5)), reads /etc/magic.",
                                         "-b, --brief\n    Be brief.", "$ file  x"});
}

TEST_CASE("hostile roff ends") {
  std::string nested = ".Op";
  for (int i = 0; i < 20000; ++i) nested += " Op";
  CHECK(is_sound(parse_text(nested, Format::man)));
  std::string strings;
  for (int i = 0; i < 60; ++i) strings += ".ds a" + std::to_string(i % 10) + " \\*(a0\\*(a1x\\*(a2\n";
  CHECK(is_sound(parse_text(
      strings + "\\*(a0\n\\[u110000]\\h\xC3\xA9x\xC3\xA9 \\f\xC3\xA9 \\(\xC3\xA9x \\s(\xC3\xA9\xC3\xA9", Format::man)));
}

struct Lines {
  std::vector<Document> documents;
  std::vector<Fault> faults;
};
Lines parse_lines(const std::vector<std::string>& lines) {
  Lines out;
  JsonLinesParser parser([&](Document&& document) { out.documents.push_back(std::move(document)); });
  for (std::size_t i = 0; i < lines.size(); ++i) parser.line(lines[i], i + 1);
  out.faults = parser.take_faults();
  return out;
}

TEST_CASE("JSON lines become documents") {
  const Lines out = parse_lines(
      {R"({"id": "a", "title": " T \n x ", "text": "One.\n\nTwo.", "tags": ["x", 3], "created": "2026-01-02", "more": {"text": "no"}})",
       R"({"id": 17, "body": "B", "tags": "solo", "date": "1:56 pm on 8 May, 2023"})",
       R"({"contents": "C", "created": 1000000000})", "", R"({"title": "only this", "text": ""})"});
  REQUIRE(out.documents.size() == 4);
  CHECK(out.faults.empty());
  CHECK(out.documents[0].title == "T x");
  CHECK(out.documents[0].blocks.size() == 2);
  CHECK(out.documents[0].tags == Strings{"x", "3"});
  CHECK(out.documents[0].created == "2026-01-02T00:00:00.000Z");
  CHECK(out.documents[0].line == 1);
  CHECK(out.documents[1].id == "17");
  CHECK(out.documents[1].text == "B");
  CHECK(out.documents[1].tags == Strings{"solo"});
  CHECK(out.documents[1].created.empty());
  CHECK(out.documents[2].id == "line-3");
  CHECK(out.documents[2].created == "2001-09-09T01:46:40.000Z");
  CHECK(out.documents[3].text == "only this");
}

TEST_CASE("bad JSON lines are faults with their reason, the rest is read") {
  const Lines out = parse_lines({R"({"id":"a","text":"x"})", R"({"id":"b","te)", "[1]", "nonsense", R"({"id":"c"})",
                                 R"({"id":"a","text":"again"})", "\"text\"", R"({"id":"d","text":"  "})",
                                 "{\"id\":\"e\",\"text\":\"bad \xFF byte\"}"});
  REQUIRE(out.documents.size() == 2);
  CHECK(out.documents[1].text == "bad \uFFFD byte");
  REQUIRE(out.faults.size() == 7);
  CHECK(out.faults[0].line == 2);
  CHECK(out.faults[0].reason.starts_with("cut off at byte"));
  CHECK(out.faults[1].reason == "not a JSON object");
  CHECK(out.faults[2].reason.starts_with("not JSON at byte"));
  CHECK(out.faults[3].reason == "it has no text (a field text, content, body or contents)");
  CHECK(out.faults[4].reason == "id 'a' stands on line 1 already, which is kept");
  CHECK(out.faults[5].reason == "not a JSON object");
  CHECK(out.faults[6].reason == "its text is empty");
}

TEST_CASE("many faults are counted, not kept") {
  const Lines out = parse_lines(std::vector<std::string>(3000, "x"));
  REQUIRE(out.faults.size() == 1001);
  CHECK(out.faults.back().reason == "2000 more could not be read");
}

Lines parse_file(std::string_view json) {
  Lines out;
  out.faults = parse_json(json, [&](Document&& document) { out.documents.push_back(std::move(document)); });
  return out;
}

TEST_CASE("a JSON file is a document, an array of documents, or lines of values") {
  const Lines one = parse_file(R"({"id": "x", "title": "T", "text": "Hello.", "n": [1, 2]})");
  REQUIRE(one.documents.size() == 1);
  CHECK(one.documents[0].id == "x");
  CHECK(one.documents[0].text == "Hello.");

  const Lines many = parse_file(R"([{"id":"a","text":"A"},{"text":"B"},{"id":"a","text":"C"},5,{"x":1},[1]])");
  REQUIRE(many.documents.size() == 2);
  CHECK(many.documents[1].id == "item-1");
  CHECK(many.faults.size() == 4);

  const Lines flat =
      parse_file(R"({"server": {"name": "reef", "ports": [80, 443]}, "on": true, "off": null, "f": 1.50})");
  REQUIRE(flat.documents.size() == 1);
  CHECK(flat.documents[0].text ==
        "server.name: reef\nserver.ports[0]: 80\nserver.ports[1]: 443\non: true\noff: null\nf: 1.50\n\n");
  CHECK(is_sound(flat.documents[0]));
  CHECK(parse_file("[1, 2, [3]]").documents[0].text == "[0]: 1\n[1]: 2\n[2][0]: 3\n\n");
  CHECK(parse_file("\"just this\"").documents[0].text == "just this\n\n");
}

TEST_CASE("broken and hostile JSON files are refused") {
  CHECK_THROWS_WITH_AS(parse_file(R"({"a": )"), doctest::Contains("cut off"), Error);
  CHECK_THROWS_AS(parse_file("{}"), Error);
  CHECK_THROWS_AS(parse_file(""), Error);
  CHECK_THROWS_WITH_AS(parse_file(std::string(100000, '[')), doctest::Contains("nested deeper"), Error);
  const Lines part = parse_file(R"([{"text":"A"},{"text":)");
  CHECK(part.documents.size() == 1);
  CHECK(part.faults.size() == 1);
  std::string wide;
  for (int i = 0; i < 60; ++i) wide += "{\"" + std::string(100, 'k') + "\":";
  wide += "[0";
  for (int i = 0; i < 3000; ++i) wide += ",0";
  wide += "]" + std::string(60, '}');
  CHECK_THROWS_WITH_AS(parse_file(wide), doctest::Contains("too large"), Error);
}

TEST_CASE("the neutral form comes back, and nothing else is believed") {
  const Document document = parse_text("# Über\n\ntext\n\n```\ncode\n```\n", Format::markdown);
  const std::string bytes = write_neutral(document);
  const Document back = read_neutral(bytes);
  CHECK(back.text == document.text);
  CHECK(back.title == document.title);
  REQUIRE(back.blocks.size() == 3);
  CHECK(back.blocks[2].verbatim);
  CHECK(back.blocks[1].heading_path == "Über");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) CHECK_THROWS_AS(read_neutral(bytes.substr(0, cut)), Error);
  CHECK_THROWS_AS(read_neutral(bytes + "x"), Error);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x81);
    try {
      const Document read = read_neutral(flipped);
      CHECK(is_sound(read));
    } catch (const Error& e) {
      CHECK(e.code() == Errc::corrupt);
    }
  }
}

}  // namespace
}  // namespace reef::text
