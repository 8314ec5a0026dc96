#include "reef/embed/vocabulary.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/embed/tokenizer.h"
#include "support/temp_dir.h"
#include "unit/embed/small_vocabulary.h"

namespace reef::embed {
namespace {

using test::SmallVocabulary;
using test::TempDir;
using Ids = std::vector<std::uint32_t>;

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// The message of the Error{corrupt} that `json` gets.
std::string refusal(const std::string& json) {
  try {
    static_cast<void>(compile_vocabulary_json(json, "m/tokenizer.json"));
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    CHECK(!e.hint().empty());
    return e.what();
  }
  return "accepted";
}

TEST_CASE("what would change an id and is not understood is refused with file and key") {
  const std::string json = SmallVocabulary{{"a", "##b"}, "", "", 100}.json();
  CHECK(refusal(json) == "accepted");
  CHECK(refusal(replaced(json, "\"WordPiece\"", "\"Unigram\"")) ==
        "m/tokenizer.json: model.type is \"Unigram\", not \"WordPiece\"");
  CHECK(refusal(replaced(json, "\"BertNormalizer\"", "\"NFKC\"")) ==
        "m/tokenizer.json: normalizer.type is \"NFKC\", not \"BertNormalizer\"");
  CHECK(refusal(replaced(json, "\"BertPreTokenizer\"", "\"Whitespace\"")) ==
        "m/tokenizer.json: pre_tokenizer.type is \"Whitespace\", not \"BertPreTokenizer\"");
  CHECK(refusal(replaced(json, "\"##\",", "\"@@\",")) ==
        "m/tokenizer.json: model.continuing_subword_prefix is \"@@\", not \"##\"");
  CHECK(refusal(replaced(json, "\"a\":5", "\"a\":-5")) ==
        "m/tokenizer.json: model.vocab.a is no number from 0 to 4294967295");
  CHECK(refusal(replaced(json, "\"a\":5", "\"a\":6")) ==
        "m/tokenizer.json: id 6 belongs to two tokens, one of them \"a\"");
  CHECK(refusal(replaced(json, "\"a\":5", "\"a\":1048575")) ==
        "m/tokenizer.json: id 1048575 of \"a\" is above 1048574");
  CHECK(refusal(replaced(json, "\"normalized\":false", "\"normalized\":true")) ==
        "m/tokenizer.json: added_tokens[0] (\"[PAD]\") has normalized: true");
  CHECK(refusal(replaced(json, "{\"id\":4", "{\"id\":7")) ==
        "m/tokenizer.json: added_tokens[4] gives \"[MASK]\" the id 7, model.vocab 4");
  CHECK(refusal(replaced(json, "\"unk_token\":\"[UNK]\"", "\"unk_token\":\"<unk>\"")) ==
        "m/tokenizer.json: the vocabulary lacks \"<unk>\"");
  CHECK(refusal(replaced(json, "\"post_processor\"", "\"other\"")) == "m/tokenizer.json: post_processor is missing");
  CHECK(refusal("[1, 2]") == "m/tokenizer.json: is no object");
  CHECK(refusal("{").starts_with("m/tokenizer.json: no JSON: "));
  CHECK(refusal(replaced(json, "\"max_input_chars_per_word\":100", "\"max_input_chars_per_word\":5000")) ==
        "m/tokenizer.json: model has max_input_chars_per_word above 1000");
}

TEST_CASE("a template may say what goes around the text") {
  const std::string bert = R"({"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]})";
  const std::string json = SmallVocabulary{{"a"}, "", "", 100}.json();
  const std::string ids = R"("special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2]},"[SEP]":{"id":"[SEP]","ids":[3]}})";
  const std::string usual = replaced(
      json, bert,
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A"}},)"
      R"({"SpecialToken":{"id":"[SEP]","type_id":0}}],)" +
          ids + "}");
  CHECK(compile_vocabulary_json(usual, "x") == compile_vocabulary_json(json, "x"));
  CHECK(refusal(
            replaced(json, bert, R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}}],)" + ids + "}")) ==
        "m/tokenizer.json: post_processor does not put [CLS] before and [SEP] behind the text");
}

TEST_CASE("a folder: tokenizer.json goes before vocab.txt") {
  const TempDir dir;
  CHECK_THROWS_AS(static_cast<void>(compile_vocabulary(dir.path())), Error);
  write(dir / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\n##b\n\nÉ\n");
  std::vector<std::uint8_t> block = compile_vocabulary(dir.path());
  CHECK(Tokenizer(block).encode("AB [MASK] É", 9) == Ids{2, 5, 7, 4, 1, 3});
  CHECK(Tokenizer(block).vocabulary_size() == 10);  // the empty line has an id too

  write(dir / "tokenizer_config.json", R"({"do_lower_case": false, "mask_token": {"content": "a"}})");
  block = compile_vocabulary(dir.path());
  CHECK(Tokenizer(block).encode("Ab É a[MASK]", 9) == Ids{2, 6, 7, 9, 5, 1, 1, 1, 3});

  write(dir / "tokenizer.json", SmallVocabulary{{"x"}, "", "", 100}.json());
  block = compile_vocabulary(dir.path());
  CHECK(Tokenizer(block).encode("X", 9) == Ids{2, 5, 3});
}

TEST_CASE("vocab.txt: line ends of either kind, the last of equal lines counts, [CLS] is needed") {
  const TempDir dir;
  write(dir / "vocab.txt", "[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\nb\r\na");
  const std::vector<std::uint8_t> block = compile_vocabulary(dir.path());
  CHECK(Tokenizer(block).encode("a b", 9) == Ids{1, 5, 4, 2});
  write(dir / "vocab.txt", "[UNK]\n[SEP]\n");
  CHECK_THROWS_WITH(static_cast<void>(compile_vocabulary(dir.path())), doctest::Contains("lacks \"[CLS]\""));
  write(dir / "vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xff\n");
  CHECK_THROWS_WITH(static_cast<void>(compile_vocabulary(dir.path())), doctest::Contains("is no UTF-8"));
}

TEST_CASE("the same file gives the same block") {
  const std::string json = SmallVocabulary{{"b", "##a", "c"}, "", "", 100}.json();
  const std::vector<std::uint8_t> block = compile_vocabulary_json(json, "x");
  CHECK(block == compile_vocabulary_json(json, "y"));
  CHECK(block.size() % 8 == 0);
}

}  // namespace
}  // namespace reef::embed
