#pragma once

#include <string>
#include <string_view>

#include "reef/embed/internal/vocabulary_block.h"

namespace reef::embed::internal {

/// Reads the text of a tokenizer.json. Whatever would change an id and is not understood is an
/// Error{corrupt} that names `name` and the key, never ignored.
VocabularySource read_tokenizer_json(std::string_view json, const std::string& name);

/// Reads vocab.txt (one token a line, its number the id) with the switches of
/// tokenizer_config.json, whose text may be empty.
VocabularySource read_vocab_txt(std::string_view lines, const std::string& name, std::string_view config,
                                const std::string& config_name);

}  // namespace reef::embed::internal
