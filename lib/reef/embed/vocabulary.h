#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reef::embed {

/// The WordPiece vocabulary of a BERT model as one relocatable block of bytes that is used in
/// place: an open-addressing hash table, the pieces' text, the special tokens, and the normaliser's
/// switches (lower case, accents, CJK). No parsing and no allocation when it is opened.
///
/// Reads `folder`/tokenizer.json (WordPiece with BertNormalizer, BertPreTokenizer), else vocab.txt
/// with tokenizer_config.json where present. Throws Error{corrupt} naming file and key for another
/// kind of tokenizer or a damaged file, Error{not_found} when neither exists.
std::vector<std::uint8_t> compile_vocabulary(const std::filesystem::path& folder);

/// The same from the text of a tokenizer.json; `name` stands in messages. For tests and fuzzing.
std::vector<std::uint8_t> compile_vocabulary_json(std::string_view json, const std::string& name);

}  // namespace reef::embed
