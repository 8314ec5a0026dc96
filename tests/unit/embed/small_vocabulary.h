#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace reef::test {

/// The tokenizer.json of a vocabulary whose ids are the places in `words`; words need no escapes.
/// normalizer: more keys of it, such as `,"lowercase":false`. The five special tokens come first.
struct SmallVocabulary {
  std::vector<std::string> words;
  std::string normalizer;
  std::string added;  ///< more added tokens, each after a comma
  int max_word_chars = 100;

  static constexpr std::uint32_t kPad = 0, kUnknown = 1, kStart = 2, kStop = 3, kMask = 4, kFirst = 5;

  std::string json() const {
    std::string vocab = R"("[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"[MASK]":4)";
    for (std::size_t i = 0; i < words.size(); ++i) vocab += fmt::format(",\"{}\":{}", words[i], kFirst + i);
    std::string special;
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
      special += fmt::format(R"({}{{"id":{},"content":"{}","special":true,"normalized":false}})",
                             special.empty() ? "" : ",", special.empty() ? 0 : count_of(special), token);
    }
    return fmt::format(R"({{"added_tokens":[{}{}],"normalizer":{{"type":"BertNormalizer"{}}},)"
                       R"("pre_tokenizer":{{"type":"BertPreTokenizer"}},)"
                       R"("post_processor":{{"type":"BertProcessing","sep":["[SEP]",3],"cls":["[CLS]",2]}},)"
                       R"("model":{{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",)"
                       R"("max_input_chars_per_word":{},"vocab":{{{}}}}}}})",
                       special, added, normalizer, max_word_chars, vocab);
  }

 private:
  static int count_of(const std::string& objects) {
    int count = 0;
    for (std::size_t at = objects.find("\"id\""); at != std::string::npos; at = objects.find("\"id\"", at + 1)) ++count;
    return count;
  }
};

}  // namespace reef::test
