#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>

#include "reef/core/error.h"
#include "reef/io/process.h"
#include "reef/text/parse.h"
#include "text_fixtures.h"

namespace reef::text {
namespace {

using namespace test;
using reef::test::TempDir;
namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

TEST_CASE("formats are told by name, then by content") {
  const TempDir dir;
  const ExtractOptions none;
  const auto detect = [&](const char* name, std::string_view bytes) {
    return detect_format(write_file(dir / name, bytes), none);
  };
  CHECK(detect("a.txt", "words") == Format::text);
  CHECK(detect("a.MD", "# x") == Format::markdown);
  CHECK(detect("a.htm", "x") == Format::html);
  CHECK(detect("a.pdf", "x") == Format::pdf);
  CHECK(detect("a.json", "{}") == Format::json);
  CHECK(detect("a.ndjson", "{}") == Format::jsonl);
  CHECK(detect("a.py", "x") == Format::source);
  CHECK(detect("Makefile", "x") == Format::source);
  CHECK(detect("CMakeLists.txt", "x") == Format::source);
  CHECK(detect("a.1", ".\\\" c\n.TH A 1\n") == Format::man);
  CHECK(detect("a.3pm", "'\\\" t\n.Dd May\n") == Format::man);
  CHECK(detect("a.7.gz", "\x1f\x8b") == Format::man);
  std::string long_header = ".\\\" c\n.de XX\nbody\n..\n";
  for (int i = 0; i < 300; ++i) long_header += ".\\\" licence\n";
  CHECK(detect("b.1", long_header + ".TH B 1\n") == Format::man);
  CHECK(detect("version.1", "no macros") == Format::text);
  CHECK(detect("page", "\n <!DOCTYPE html><p>x") == Format::html);
  CHECK(detect("run", "#!/bin/sh\n") == Format::source);
  CHECK(detect("noname", "words") == Format::text);
  CHECK(detect("b.txt", "%PDF-1.4 x") == Format::pdf);
}

TEST_CASE("a binary is none, whatever it is called") {
  const TempDir dir;
  const auto detect = [&](std::string_view bytes) { return detect_format(write_file(dir / "a.txt", bytes), {}); };
  CHECK(detect(std::string_view("ab\0cd", 5)) == std::nullopt);
  CHECK(detect("\x89PNG\x0d\x0a\x1a\x0a\x01\x02\x03") == std::nullopt);
  CHECK(detect("\xC1\xC2\xC3\xE0 \xF0\xF1 abcdefgh") == std::nullopt);
  CHECK(detect("Gr\xFC\xDF"
               "e aus der Stadt, in Latin-1 geschrieben, lesbar.") == Format::text);
  CHECK(detect(std::string_view("\xFF\xFEh\0i\0", 6)) == Format::text);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "x.docx", std::string_view("PK\0\0", 4))),
                       doctest::Contains("binary"), Error);
}

TEST_CASE("names for the registry") {
  CHECK(format_name(Format::markdown) == "markdown");
  CHECK(format_name(Format::converted, "a/b.DOCX") == "converter:.docx");
}

TEST_CASE("encodings of text") {
  const TempDir dir;
  const auto text_of = [&](std::string_view bytes) {
    return extract_all(write_file(dir / "a.txt", bytes)).documents.at(0).text;
  };
  CHECK(text_of("\xEF\xBB\xBFhi") == "hi");
  CHECK(text_of(std::string_view("\xFF\xFEh\0\xE4\0\x3D\xD8\x00\xDE", 10)) == "hä😀");
  CHECK(text_of(std::string_view("\xFE\xFF\0h\xD8\x3D\0x", 8)) == "h\uFFFDx");
  CHECK(text_of("good text, one bad \xFC byte") == "good text, one bad \uFFFD byte");
}

TEST_CASE("what cannot be used is refused with its reason") {
  const TempDir dir;
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "a.txt", "")), doctest::Contains("a.txt is empty"), Error);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "b.txt", "\n \n")), doctest::Contains("b.txt is empty"), Error);
  CHECK_THROWS_AS(extract_all(dir / "absent.txt"), Error);
  CHECK_THROWS_WITH_AS(extract_all(dir.path()), doctest::Contains("not a regular file"), Error);
  ExtractOptions small;
  small.max_file_bytes = 4;
  try {
    extract_all(write_file(dir / "c.txt", "12345"), small);
    FAIL("not refused");
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("c.txt has 5 B, more than the limit of 4 B") != std::string::npos);
    CHECK(e.hint() == "raise ingest.max_file_bytes in system.yaml, or pass --text-only");
  }
  small.stream = true;
  CHECK(extract_all(dir / "c.txt", small).documents.size() == 1);
  CHECK_THROWS_AS(extract_all(write_file(dir / "c.json", "[1,2,3]"), small), Error);
}

TEST_CASE("a long text comes in parts that are the whole") {
  const TempDir dir;
  std::string text = "# Title\n\n";
  for (int i = 0; i < 60000; ++i) {
    text += fmt::format("Paragraph {} of the text that is cut, with é and 漢字 in it, and some more words.\n\n", i);
    if (i % 7000 == 0) text += fmt::format("## Part {}\n\n", i);
  }
  text += "```\n";
  for (int i = 0; i < 120000; ++i) text += fmt::format("code line {}\n\n", i);
  text += "```\nafter the code\n";
  ExtractOptions options;
  options.stream = true;
  const auto parts = extract_all(write_file(dir / "long.md", text), options).documents;
  REQUIRE(parts.size() > 3);
  std::string joined;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    CHECK(is_sound(parts[i]));
    CHECK(parts[i].base_offset == joined.size());
    CHECK(parts[i].last_part == (i + 1 == parts.size()));
    CHECK(parts[i].title == "Title");
    joined += parts[i].text;
  }
  CHECK(joined == text);
  CHECK(parts.back().blocks.back().heading_path == "Title > Part 56000");
  CHECK(block_text(parts.back(), parts.back().blocks.back()) == "after the code");
  const auto is_code = [](const Document& part) { return part.blocks.front().verbatim; };
  CHECK(is_code(parts.back()));
}

TEST_CASE("a line without an end is cut at white space or characters") {
  const TempDir dir;
  ExtractOptions options;
  options.stream = true;
  for (const std::string piece : {"word ", "漢", "x"}) {
    std::string text;
    while (text.size() < (5u << 20)) text += piece;
    const auto parts = extract_all(write_file(dir / "line.txt", text), options).documents;
    CHECK(parts.size() >= 2);
    std::string joined;
    for (const Document& part : parts) {
      CHECK(is_sound(part));
      joined += part.text;
    }
    CHECK(joined.size() + 1 >= text.size());
  }
}

TEST_CASE("JSON lines are streamed, a line too long is a fault") {
  const TempDir dir;
  std::string text = R"({"id":"a","text":"first"})"
                     "\n{\"id\":\"long\",\"text\":\"";
  text.append(65 << 20, 'x');
  text += "\"}\n{\"id\":\"big\",\"text\":\"" + std::string(3 << 20, 'y') + "\"}\r\n{\"id\":\"z\",\"text\":\"last\"}";
  const Extracted out = extract_all(write_file(dir / "a.jsonl", text));
  REQUIRE(out.documents.size() == 3);
  CHECK(out.documents[1].text.size() == 3 << 20);
  CHECK(out.documents[2].line == 4);
  REQUIRE(out.faults.size() == 1);
  CHECK(out.faults[0].line == 2);
  CHECK(out.faults[0].reason.find("in one line, more than 64.0 MiB") != std::string::npos);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "b.jsonl", "{}\nx\n")), doctest::Contains("no line of it"), Error);
}

/// A PDF of one page for each text, every object written out by hand.
std::string make_pdf(const Strings& pages, const std::string& trailer_extra = "") {
  std::string out = "%PDF-1.4\n";
  std::vector<std::size_t> offsets;
  const auto object = [&](const std::string& body) {
    offsets.push_back(out.size());
    out += fmt::format("{} 0 obj\n{}\nendobj\n", offsets.size(), body);
  };
  std::string kids;
  for (std::size_t i = 0; i < pages.size(); ++i) kids += fmt::format("{} 0 R ", 4 + 2 * i);
  object("<< /Type /Catalog /Pages 2 0 R >>");
  object(fmt::format("<< /Type /Pages /Kids [{}] /Count {} >>", kids, pages.size()));
  object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
  for (std::size_t i = 0; i < pages.size(); ++i) {
    object(
        fmt::format("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {} 0 R /Resources << /Font << "
                    "/F1 3 0 R >> >> >>",
                    5 + 2 * i));
    object(fmt::format("<< /Length {} >>\nstream\n{}\nendstream", pages[i].size(), pages[i]));
  }
  const std::size_t table = out.size();
  out += fmt::format("xref\n0 {}\n0000000000 65535 f \n", offsets.size() + 1);
  for (const std::size_t offset : offsets) out += fmt::format("{:010} 00000 n \n", offset);
  out += fmt::format("trailer\n<< /Size {} /Root 1 0 R {} >>\nstartxref\n{}\n%%EOF\n", offsets.size() + 1,
                     trailer_extra, table);
  return out;
}

bool have_pdftotext() {
  try {
    io::run_process({"pdftotext", "-v"}, "", {});
    return true;
  } catch (const Error&) {
    MESSAGE("pdftotext is not installed: test skipped");
    return false;
  }
}

TEST_CASE("a PDF is read page by page") {
  if (!have_pdftotext()) return;
  const TempDir dir;
  const auto page = [](const char* words) { return fmt::format("BT /F1 12 Tf 50 700 Td ({}) Tj ET", words); };
  ExtractOptions options;
  options.scratch = dir.path();
  const auto out =
      extract_all(write_file(dir / "-a b.pdf", make_pdf({page("Hello reef."), page("Second page.")})), options);
  REQUIRE(out.documents.size() == 1);
  const Document& document = out.documents[0];
  CHECK(block_texts(document) == Strings{"Hello reef.", "Second page."});
  CHECK(document.blocks[1].page == 2);
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);  // nothing is left in scratch
}

TEST_CASE("damaged, locked and hostile PDFs end with a reason") {
  if (!have_pdftotext()) return;
  const TempDir dir;
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "a.pdf", "%PDF-1.4\nrubbish")), doctest::Contains("pdftotext"),
                       Error);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "b.pdf", make_pdf({""}))), doctest::Contains("holds no text"),
                       Error);
  const std::string locked =
      make_pdf({"BT /F1 12 Tf (x) Tj ET"}, "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (" + std::string(32, 'o') +
                                               ") /U (" + std::string(32, 'u') +
                                               ") >> /ID [(1234567890123456) (1234567890123456)]");
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "c.pdf", locked)), doctest::Contains("assword"), Error);

  ExtractOptions tight;
  tight.scratch = dir.path();
  // One stream shown by many pages: a small file, a long text.
  std::string words = "BT /F1 1 Tf 1 TL 0 799 Td ";
  for (int i = 0; i < 700; ++i) words += "(reef reef reef reef reef reef reef reef reef reef reef) Tj T* ";
  std::string many = make_pdf({words + "ET"});
  std::string kids;
  for (int i = 0; i < 200; ++i) kids += "4 0 R ";
  const std::string one = "/Kids [4 0 R ] /Count 1";
  many.replace(many.find(one), one.size(), fmt::format("/Kids [{}] /Count 200", kids));
  tight.child_output_bytes = 1 << 20;
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "d.pdf", many), tight), doctest::Contains("longer than 1.00 MiB"),
                       Error);

  // Run lengths of run lengths: each filter makes the stream 64 times as long.
  std::string bomb = make_pdf({std::string(4096, '\x81')});
  bomb.insert(bomb.find("/Length 4096"),
              "/Filter [/RunLengthDecode /RunLengthDecode /RunLengthDecode /RunLengthDecode /RunLengthDecode] ");
  tight.child_seconds = 1;
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "e.pdf", bomb), tight), doctest::Contains("stopped after 1 s"),
                       Error);
}

bool have_html_helper() {
  try {
    io::helper_path("reef-extract");
    return true;
  } catch (const Error&) {
    MESSAGE("reef-extract is not built: test skipped");
    return false;
  }
}

TEST_CASE("an HTML page is read by the helper") {
  if (!have_html_helper()) return;
  const TempDir dir;
  const auto document = extract_all(write_file(dir / "a.html", R"(<!DOCTYPE html><html><head><title>The  page</title>
<style>p{}</style></head><body><nav><a href="/">Home</a></nav><h1>Top</h1><p>One &amp; <b>two</b><br>three &eacute;.
<script>bad()</script><h2>Sub</h2><ul><li>first<li>second <ul><li>deep</ul></ul><pre>  a
    b</pre><table><tr><th>k<th>v<tr><td>1<td>2</table><table><tr><td><div>layout</div></table>
<p hidden>no</p><p aria-hidden="true">no</p>end)"),
                                    {})
                            .documents.at(0);
  CHECK(document.title == "The page");
  CHECK(block_texts(document) == Strings{"Top", "One & two three é.", "Sub", "- first", "- second", "- deep",
                                         "  a\n    b", "k | v\n1 | 2", "layout", "end"});
  CHECK(document.blocks[3].heading_path == "Top > Sub");
  CHECK(document.blocks[6].verbatim);
}

TEST_CASE("encodings and faults of HTML") {
  if (!have_html_helper()) return;
  const TempDir dir;
  const auto text_of = [&](std::string_view bytes) {
    return extract_all(write_file(dir / "a.html", bytes), {}).documents.at(0).text;
  };
  CHECK(text_of("<p>h\xC3\xA9</p>") == "hé");
  CHECK(text_of("<meta charset=iso-8859-1><p>h\xE9 and some more words</p>") == "hé and some more words");
  CHECK(text_of(std::string_view("\xFF\xFE<\0p\0>\0h\0\xE9\0", 12)) == "hé");
  CHECK_THROWS_WITH_AS(text_of("<script>x</script>"), doctest::Contains("no text"), Error);
  std::string deep;
  for (int i = 0; i < 20000; ++i) deep += "<div>";
  CHECK(text_of(deep + "x") == "x");
}

TEST_CASE("converters are run under the same limits") {
  const TempDir dir;
  ExtractOptions options;
  options.scratch = dir.path();
  options.converters[".docx"] = {"sed", "s/x/# Head/", "{}"};
  options.converters[".slow"] = {"sleep", "20"};
  options.converters[".bad"] = {"sh", "-c", "echo broken file >&2; exit 3"};
  options.converters[".none"] = {"no-such-program-of-reef", "{}"};
  options.child_seconds = 1;
  CHECK(detect_format(write_file(dir / "a.docx", "x\nwords"), options) == Format::converted);
  const auto document = extract_all(dir / "a.docx", options).documents.at(0);
  CHECK(document.title == "Head");
  CHECK(document.blocks.at(1).heading_path == "Head");
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "a.slow", "x"), options), doctest::Contains("stopped after 1 s"),
                       Error);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "a.bad", "x"), options), doctest::Contains("sh: broken file"),
                       Error);
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "a.none", "x"), options), doctest::Contains("not installed"),
                       Error);
}

TEST_CASE("a compressed manual page") {
  const TempDir dir;
  write_file(dir / "x.1", ".TH X 1\n.SH NAME\nx \\- y\n");
  io::run_process({"gzip", (dir / "x.1").string()}, "", {});
  CHECK(extract_all(dir / "x.1.gz").documents.at(0).title == "x - y");
  CHECK_THROWS_WITH_AS(extract_all(write_file(dir / "y.1.gz", "no gzip")), doctest::Contains("gzip"), Error);
}

}  // namespace
}  // namespace reef::text
