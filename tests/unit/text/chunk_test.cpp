#include <doctest/doctest.h>

#include <random>

#include "reef/text/internal/sentences.h"
#include "reef/text/parse.h"
#include "text_fixtures.h"

namespace reef::text {
namespace {

using namespace test;

std::vector<std::string> sentences(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& span : internal::split_sentences(text))
    out.emplace_back(text.substr(span.start, span.end - span.start));
  return out;
}

using Strings = std::vector<std::string>;

TEST_CASE("sentences end where a reader ends them") {
  CHECK(sentences("One. Two! Three? Four") == Strings{"One.", "Two!", "Three?", "Four"});
  CHECK(sentences("He said \"Stop.\" Then he left.") == Strings{"He said \"Stop.\"", "Then he left."});
  CHECK(sentences("\"Really?\" he asked. Yes.") == Strings{"\"Really?\" he asked.", "Yes."});
  CHECK(sentences("Wait... What?! Now.") == Strings{"Wait...", "What?!", "Now."});
  CHECK(sentences("Wait… What?") == Strings{"Wait…", "What?"});
  CHECK(sentences("ok then. see you") == Strings{"ok then.", "see you"});
}

TEST_CASE("abbreviations, initials, numbers and addresses end no sentence") {
  CHECK(sentences("See Fig. 3 and Dr. Smith et al. (2003) for e.g. S. aureus.").size() == 1);
  CHECK(sentences("J. R. Tolkien wrote at 3.5 percent of www.a.org. He stopped.").size() == 2);
  CHECK(sentences("Growth was 3.5. The rest died.") == Strings{"Growth was 3.5.", "The rest died."});
  CHECK(sentences("1. Introduction of it. 2. End.").size() == 2);
  CHECK(sentences("Reported by Smith et al. in 2003.").size() == 1);
  CHECK(sentences("Node.Name and file.NameSpace() stay.").size() == 1);
}

TEST_CASE("a space that is missing between sentences is seen") {
  CHECK(sentences("It causes disabilities.A line scan was used.") ==
        Strings{"It causes disabilities.", "A line scan was used."});
}

TEST_CASE("Chinese and Japanese sentences end without a space") {
  CHECK(sentences("今日は。元気？「はい。」そう") == Strings{"今日は。", "元気？", "「はい。」", "そう"});
}

TEST_CASE("list items and paragraphs are sentences") {
  CHECK(sentences("Needs:\n- salt\n- water\n\nthen stir") == Strings{"Needs:", "- salt", "- water", "then stir"});
  CHECK(sentences("wrapped\nlines stay").size() == 1);
}

/// Every chunk fits, is a piece of the text, and all words of all blocks are in some chunk.
void check_chunks(const Document& document, const TokenCounter& count, const ChunkOptions& options) {
  const std::vector<Chunk> chunks = chunk(document, count, options);
  std::vector<bool> covered(document.text.size(), false);
  std::uint64_t previous_start = 0;
  std::uint64_t previous_end = 0;
  for (const Chunk& piece : chunks) {
    REQUIRE(piece.start >= document.base_offset);
    REQUIRE(piece.end <= document.base_offset + document.text.size());
    const auto start = static_cast<std::size_t>(piece.start - document.base_offset);
    REQUIRE(document.text.substr(start, piece.text.size()) == piece.text);
    REQUIRE(piece.end - piece.start == piece.text.size());
    REQUIRE_FALSE(piece.text.empty());
    REQUIRE(is_valid_utf8(piece.text));
    REQUIRE(count(passage_text(document.title, piece.heading_path, piece.text)) <= options.max_tokens);
    REQUIRE(piece.text.size() <= options.max_tokens * 33 + 64);
    REQUIRE((piece.start > previous_start || &piece == &chunks.front()));
    REQUIRE(piece.end > previous_end);
    previous_start = piece.start;
    previous_end = piece.end;
    std::fill_n(covered.begin() + static_cast<std::ptrdiff_t>(start), piece.text.size(), true);
  }
  for (const Block& block : document.blocks) {
    for (auto at = static_cast<std::size_t>(block.start); at < block.end; ++at) {
      const char c = document.text[at];
      if (c != ' ' && (c < '\t' || c > '\r')) REQUIRE(covered[at]);
    }
  }
}

/// Text of all the shapes that cutters fail on.
std::string random_text(std::mt19937& random) {
  static const Strings kPieces = {
      "word ", "Sentence. ", "\n\n",   "\n",   "# Head\n", "## Sub\n", "### Deep\n\n", "- item\n",
      "e.g. ", "clause, ",   "日本。", "漢字", "😀",        "é",        "```\ncode\n",  "\n```\n",
      "a|b\n", "-|-\n",      "1|2\n",  "x",    "    ",     "\t",       "!? ",          "“quoted.” "};
  std::string out;
  const std::size_t count = random() % 400;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t pick = random() % (kPieces.size() + 2);
    if (pick == kPieces.size()) {
      out.append(random() % 700, static_cast<char>('a' + random() % 26));
    } else if (pick == kPieces.size() + 1) {
      if (random() % 8 == 0) out.append(random() % 300, ' ');
    } else {
      out += kPieces[pick];
    }
  }
  return out;
}

TEST_CASE("chunks of random texts keep every promise") {
  for (unsigned seed = 0; seed < 600; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const Format format = seed % 3 == 0 ? Format::text : seed % 3 == 1 ? Format::markdown : Format::source;
    Document document = parse_text(random_text(random), format);
    REQUIRE(is_sound(document));
    if (seed % 2 == 0) document.title = "A title of some words";
    document.base_offset = seed * 1000;
    const ChunkOptions options{24 + random() % 250, random() % 64};
    check_chunks(document, count_like_wordpiece, options);
    check_chunks(document, count_bytes, options);
  }
}

TEST_CASE("chunking is deterministic") {
  std::mt19937 random(7);
  const Document document = parse_text(random_text(random), Format::markdown);
  const auto one = chunk(document, count_like_wordpiece, {});
  const auto two = chunk(document, count_like_wordpiece, {});
  REQUIRE(one.size() == two.size());
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].text == two[i].text);
}

TEST_CASE("a short document is one chunk") {
  const Document document = parse_text("  Just this.\n", Format::text);
  const auto chunks = chunk(document, count_like_wordpiece, {});
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].text == "Just this.");
  CHECK(chunks[0].start == 2);
  CHECK(chunks[0].end == 12);
}

TEST_CASE("chunks overlap by whole sentences, and the last one is not tiny") {
  std::string text;
  for (int i = 0; i < 41; ++i) text += "Sentence number " + std::to_string(i) + " says something. ";
  const Document document = parse_text(text, Format::text);
  const auto chunks = chunk(document, count_like_wordpiece, {100, 20});
  REQUIRE(chunks.size() > 3);
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    CHECK(chunks[i].start < chunks[i - 1].end);
    CHECK(chunks[i].text.starts_with("Sentence number"));
    CHECK(count_like_wordpiece(chunks[i].text) >= 25);
  }
  for (const auto& piece : chunk(document, count_like_wordpiece, {100, 0})) CHECK(piece.text.ends_with("something."));
}

TEST_CASE("a new heading starts a new chunk, small sections share one") {
  std::string text = "# First\n\n";
  for (int i = 0; i < 12; ++i) text += "Words of the first section go here. ";
  text += "\n\n# Second\n\n";
  for (int i = 0; i < 12; ++i) text += "Words of the second section go here. ";
  text += "\n\n# Third\n\nLast words.\n";
  const auto chunks = chunk(parse_text(text, Format::markdown), count_like_wordpiece, {254, 32});
  REQUIRE(chunks.size() == 2);
  CHECK(chunks[0].heading_path == "First");
  CHECK(chunks[1].heading_path == "Second");
  CHECK(chunks[1].text.ends_with("# Third\n\nLast words."));
}

TEST_CASE("a code block is kept whole where it fits and cut at lines where it does not") {
  std::string text = "Some words before the code which fill the chunk a bit more than half of it all.\n\n```\n";
  for (int i = 0; i < 6; ++i) text += "  call_number(" + std::to_string(i) + ");\n";
  text += "```\n";
  const auto whole = chunk(parse_text(text, Format::markdown), count_like_wordpiece, {60, 8});
  REQUIRE(whole.size() == 2);
  CHECK(whole[1].text.starts_with("```"));
  CHECK(whole[1].text.ends_with("```"));
  const auto cut = chunk(parse_text(text, Format::markdown), count_like_wordpiece, {24, 0});
  CHECK(cut.size() > 2);
  for (const auto& piece : cut)
    CHECK((piece.text.ends_with(";") || piece.text.ends_with("```") || piece.text.ends_with(".") ||
           piece.text.starts_with("Some")));
}

TEST_CASE("long sentences are cut at clauses, long words at characters") {
  const std::string clause = "one two three four five six seven, ";
  std::string text;
  for (int i = 0; i < 30; ++i) text += clause;
  const auto clauses = chunk(parse_text(text, Format::text), count_like_wordpiece, {40, 0});
  for (std::size_t i = 0; i + 1 < clauses.size(); ++i) CHECK(clauses[i].text.ends_with(","));
  std::string word;
  for (int i = 0; i < 400; ++i) word += "漢";
  for (const auto& piece : chunk(parse_text(word, Format::text), count_like_wordpiece, {50, 10})) {
    CHECK(piece.text.size() % 3 == 0);
    CHECK(piece.text.size() <= 150);
  }
}

TEST_CASE("a megabyte that a vocabulary calls one word is many chunks") {
  const std::string word(1 << 20, 'x');
  const auto chunks = chunk(parse_text(word, Format::text), count_like_wordpiece, {254, 32});
  CHECK(chunks.size() > 100);
}

TEST_CASE("a passage carries title and headings where they add words") {
  CHECK(passage_text("Title", "A > B", "text") == "Title\nA > B\ntext");
  CHECK(passage_text("", "", "text") == "text");
  CHECK(passage_text("Title", "", "Title\n\ntext") == "Title\n\ntext");
  CHECK(passage_text("Title", "Title > B", "## B\n\ntext") == "Title\n## B\n\ntext");
  CHECK(passage_text(std::string(5000, 'x'), "", "text").size() < 300);
}

TEST_CASE("a heading path longer than its text loses its outer parts") {
  Document document = parse_text("Some words of text here.", Format::text);
  document.blocks[0].heading_path = std::string(120, 'a') + " > " + std::string(20, 'b');
  const auto chunks = chunk(document, count_bytes, {40, 0});
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].heading_path == std::string(20, 'b'));
}

}  // namespace
}  // namespace reef::text
