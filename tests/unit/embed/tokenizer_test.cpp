#include "reef/embed/tokenizer.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/embed/vocabulary.h"
#include "unit/embed/small_vocabulary.h"

namespace reef::embed {
namespace {

using test::SmallVocabulary;
using Ids = std::vector<std::uint32_t>;

constexpr auto kUnknown = SmallVocabulary::kUnknown, kStart = SmallVocabulary::kStart, kStop = SmallVocabulary::kStop,
               kMask = SmallVocabulary::kMask;

/// Keeps the block of a small vocabulary, and names the ids of its words from 5 on.
class Model {
 public:
  explicit Model(const SmallVocabulary& vocabulary)
      : block_(compile_vocabulary_json(vocabulary.json(), "test")), tokenizer_(block_) {}

  Ids ids(std::string_view text, std::size_t max_tokens = 512) const {
    Ids all = tokenizer_.encode(text, max_tokens);
    REQUIRE(all.size() >= 2);
    CHECK(all.front() == kStart);
    CHECK(all.back() == kStop);
    return {all.begin() + 1, all.end() - 1};
  }
  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  std::vector<std::uint8_t> block_;
  Tokenizer tokenizer_;
};

TEST_CASE("the longest piece wins, and a rest without a piece makes the whole word unknown") {
  const Model model({{"un", "una", "##ffa", "##ff", "##a", "##ble", "the"}, "", "", 100});
  CHECK(model.ids("unaffable") == Ids{6, 7, 10});
  CHECK(model.ids("unffable") == Ids{5, 7, 10});
  CHECK(model.ids("the unaffablest the") == Ids{11, kUnknown, 11});
  CHECK(model.ids("thea") == Ids{11, 9});
  CHECK(model.ids("a") == Ids{kUnknown});  // "##a" only continues
  CHECK(model.ids("").empty());
  CHECK(model.ids(" \t\r\n ").empty());
}

TEST_CASE("punctuation stands alone and white space vanishes") {
  const Model model({{"a", "##b", "b", ",", "$", "`", "¿", "##", "#", "—"}, "", "", 100});
  CHECK(model.ids("a,b") == Ids{5, 8, 7});
  CHECK(model.ids("a$`b") == Ids{5, 9, 10, 7});
  CHECK(model.ids("¿ab") == Ids{11, 5, 6});
  CHECK(model.ids("##b") == Ids{13, 13, 7});  // as text it is two marks and a word
  CHECK(model.ids("a—a") == Ids{5, 14, 5});
  CHECK(model.ids("a\u00a0b\u3000a\u2028b") == Ids{5, 7, 5, 7});
  CHECK(model.ids("a\nb\ra\tb") == Ids{5, 7, 5, 7});
}

TEST_CASE("control characters vanish without splitting a word") {
  const Model model({{"a", "##b"}, "", "", 100});
  for (const char* inside : {"\x01", "\x0b", "\x0c", "\x7f", "\u0085", "\u00ad", "\u200b", "\ufeff", "\ufffd", "\ue000",
                             "\U000f0000", "\U0010fffd", "\U000e0020"}) {
    CHECK(model.ids("a" + std::string(inside) + "b") == Ids{5, 6});
  }
  CHECK(model.ids(std::string("a\0b", 3)) == Ids{5, 6});
  CHECK(model.ids("a\u0378b") == Ids{kUnknown});  // unassigned: an ordinary character
}

TEST_CASE("accents and case") {
  const std::vector<std::string> words = {"strase",   "straße", "istanbul", "É", "é",  "e",
                                          "##\u0307", "i",      "ω",        "σ", "##σ"};
  const Model uncased({words, "", "", 100});
  CHECK(uncased.ids("STRASE Straße") == Ids{5, 6});
  CHECK(uncased.ids("İSTANBUL") == Ids{7});
  CHECK(uncased.ids("É é e\u0301 E\u0301\u0323") == Ids{10, 10, 10, 10});
  CHECK(uncased.ids("Ὦ ώ Ω") == Ids{13, 13, 13});
  CHECK(uncased.ids("ΣΣ") == Ids{14, 15});  // no final sigma: case is mapped character by character

  const Model cased({words, ",\"lowercase\":false", "", 100});
  CHECK(cased.ids("É é e E") == Ids{8, 9, 10, kUnknown});

  const Model accents({words, ",\"strip_accents\":false", "", 100});
  CHECK(accents.ids("É é e") == Ids{9, 9, 10});
  CHECK(accents.ids("İ") == Ids{12, 11});  // lower case of U+0130 is two code points

  const Model bare({words, ",\"lowercase\":false,\"strip_accents\":true", "", 100});
  CHECK(bare.ids("é É") == Ids{10, kUnknown});
}

TEST_CASE("ideographs stand alone, kana and Hangul form words") {
  const Model model({{"日", "本", "##本", "カ", "##カ", "か", "\u1112", "##\u1161", "##\u11ab", "豈"}, "", "", 100});
  CHECK(model.ids("日本") == Ids{5, 6});
  CHECK(model.ids("カガ") == Ids{8, 9});  // the voiced mark is an accent
  CHECK(model.ids("か\u3099") == Ids{10});
  CHECK(model.ids("한") == Ids{11, 12, 13});  // syllables decompose
  CHECK(model.ids("\uf900") == Ids{14});      // compatibility ideographs too
  const Model joined({{"日", "本", "##本"}, ",\"handle_chinese_chars\":false", "", 100});
  CHECK(joined.ids("日本") == Ids{5, 7});
}

TEST_CASE("marks that accents' removal leaves come in canonical order") {
  // U+1D16D has combining class 226, U+302E 224; the virama U+1B44 9; U+0301 is dropped.
  const Model model({{"a", "##\u302e", "##\U0001d16d", "##\u1b44"}, "", "", 100});
  CHECK(model.ids("a\u302e\U0001d16d\u1b44") == Ids{5, 8, 6, 7});
  CHECK(model.ids("a\U0001d16d\u0301\u302e\u1b44") == Ids{5, 8, 6, 7});
  CHECK(model.ids("a\U0001d16d\u034f\u302e") == Ids{5, 7, 6});  // U+034F, dropped, is no mark to order
  const Model kept({{"a", "##\u302e", "##\U0001d16d"}, ",\"strip_accents\":false", "", 100});
  CHECK(kept.ids("a\U0001d16d\u302e") == Ids{5, 7, 6});
}

TEST_CASE("special tokens are recognised in raw text, leftmost and longest") {
  const std::string added =
      R"(,{"id":20,"content":"[MASK]s","special":true,"normalized":false})"
      R"(,{"id":21,"content":"Ab","special":false,"normalized":false,"lstrip":true,"rstrip":true})";
  const Model model({{"a", "##b", "b", "[", "]", "mask"}, "", added, 100});
  CHECK(model.ids("[CLS] [MASK]") == Ids{kStart, kMask});
  CHECK(model.ids("a[MASK]b") == Ids{5, kMask, 7});
  CHECK(model.ids("[[MASK]]") == Ids{8, kMask, 9});
  CHECK(model.ids("[MASK]sb") == Ids{20, 7});
  CHECK(model.ids("[mask]") == Ids{8, 10, 9});
  CHECK(model.ids("ab Ab aAbb") == Ids{5, 6, 21, 5, 21, 7});
  CHECK(model.ids("[UNK]") == Ids{kUnknown});
  CHECK(model.tokenizer().vocabulary_size() == 22);
}

TEST_CASE("words above the limit of characters are unknown") {
  const Model model({{"é", "e", "##e", "b"}, "", "", 5});
  CHECK(model.ids("eeeee") == Ids{6, 7, 7, 7, 7});
  CHECK(model.ids("eeeeee b") == Ids{kUnknown, 8});
  CHECK(model.ids("e\u0301e\u0301e\u0301e\u0301e\u0301") == Ids{6, 7, 7, 7, 7});  // counted after normalising
  CHECK(model.ids("ééééééé b") == Ids{kUnknown, 8});
}

TEST_CASE("cut to the limit of tokens, [CLS] and [SEP] counted") {
  const Model model({{"a", "##a", "b"}, "", "", 100});
  const auto encode = [&](std::size_t limit) { return model.tokenizer().encode("aaa [MASK] b", limit); };
  CHECK(encode(7) == Ids{kStart, 5, 6, 6, kMask, 7, kStop});
  CHECK(encode(6) == Ids{kStart, 5, 6, 6, kMask, kStop});
  CHECK(encode(4) == Ids{kStart, 5, 6, kStop});
  CHECK(encode(3) == Ids{kStart, 5, kStop});
  CHECK(encode(2) == Ids{kStart, kStop});
  CHECK(encode(0) == Ids{kStart, kStop});
  CHECK(model.tokenizer().count("aaa [MASK] b") == 5);
  CHECK(model.tokenizer().count("aab? x") == 3);
  CHECK(model.tokenizer().count("") == 0);
}

TEST_CASE("ill-formed UTF-8 is read as U+FFFD") {
  // Without clean_text the replacement is an ordinary character, so that its number shows.
  const Model model({{"a", "\ufffd", "##\ufffd", "##b"}, ",\"clean_text\":false", "", 100});
  for (const char* broken : {"a\xff\xfe"
                             "b",
                             "\xe2\x82", "a\xf0\x9f\x98z", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80",
                             "\xf0\x80\x80\x80", "\xe0\x80", "\xc3",
                             "a\x80\xc3"
                             "b",
                             "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"}) {
    CHECK(model.ids(broken) == model.ids(to_valid_utf8(broken)));
  }
  CHECK(model.ids("a\xff\xe2\x82"
                  "b") == Ids{5, 7, 7, 8});
  const Model clean({{"a", "##b"}, "", "", 100});
  CHECK(clean.ids("a\xff"
                  "b") == Ids{5, 6});
}

TEST_CASE("without clean_text control characters stay and white space still splits") {
  const Model model({{"a", "##\x7f", "##a", "\u0378"}, ",\"clean_text\":false", "", 100});
  CHECK(model.ids("a\x7f"
                  "a") == Ids{5, 6, 7});
  CHECK(model.ids("a\x0b"
                  "a\u0085"
                  "a") == Ids{5, 5, 5});
}

TEST_CASE("counts add up over texts joined at white space") {
  const Model model({{"a", "##b", ",", "日"}, "", "", 100});
  for (const char* first : {"ab, ab", "日a", "zz", ""}) {
    for (const char* second : {"ab", ",", "日日"}) {
      const std::string joined = std::string(first) + " " + second;
      CHECK(model.tokenizer().count(joined) == model.tokenizer().count(first) + model.tokenizer().count(second));
    }
  }
}

TEST_CASE("a damaged block is refused or harmless, never read out of bounds") {
  const SmallVocabulary vocabulary{{"a", "##b", "word", "##s"}, "", "", 20};
  const std::vector<std::uint8_t> sound = compile_vocabulary_json(vocabulary.json(), "test");
  CHECK(Tokenizer(sound).block_bytes() == sound.size());
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> block = sound;
    for (int flips = round % 4; flips >= 0; --flips)
      block[random() % block.size()] = static_cast<std::uint8_t>(random());
    try {
      const Tokenizer tokenizer(block);
      for (const std::uint32_t id : tokenizer.encode("words ab [MASK] a, zz", 30))
        CHECK(id < tokenizer.vocabulary_size());
    } catch (const Error& e) {
      CHECK(e.code() == Errc::corrupt);
    }
  }
  for (std::size_t size = 0; size < sound.size(); size += 8) {
    CHECK_THROWS_AS(Tokenizer(std::span(sound).first(size)), Error);
  }
}

TEST_CASE("the ids of all-MiniLM-L6-v2" * doctest::skip(std::getenv("REEF_TEST_MINILM") == nullptr)) {
  const std::vector<std::uint8_t> block = compile_vocabulary(std::getenv("REEF_TEST_MINILM"));
  const Tokenizer tokenizer(block);
  CHECK(tokenizer.vocabulary_size() == 30522);
  CHECK(tokenizer.encode("Hello, world!", 256) == Ids{101, 7592, 1010, 2088, 999, 102});
  CHECK(tokenizer.encode("unaffable naïve", 256) == Ids{101, 14477, 20961, 3468, 15743, 102});
}

}  // namespace
}  // namespace reef::embed
