#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/text.h"
#include "reef/text/chunk.h"
#include "reef/text/document.h"
#include "reef/text/extract.h"
#include "support/temp_dir.h"

namespace reef::text::test {

inline std::filesystem::path write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

inline std::string block_text(const Document& document, const Block& block) {
  return document.text.substr(static_cast<std::size_t>(block.start), static_cast<std::size_t>(block.end - block.start));
}

inline std::vector<std::string> block_texts(const Document& document) {
  std::vector<std::string> out;
  for (const Block& block : document.blocks) out.push_back(block_text(document, block));
  return out;
}

struct Extracted {
  std::vector<Document> documents;
  std::vector<Fault> faults;
};

inline Extracted extract_all(const std::filesystem::path& file, const ExtractOptions& options = {}) {
  Extracted out;
  out.faults = extract(file, options, [&](Document&& document) { out.documents.push_back(std::move(document)); });
  return out;
}

/// What every document promises: blocks in order, not empty, inside of valid UTF-8.
inline bool is_sound(const Document& document) {
  if (!is_valid_utf8(document.text) || !is_valid_utf8(document.title)) return false;
  std::uint64_t position = 0;
  for (const Block& block : document.blocks) {
    if (block.start < position || block.end <= block.start || block.end > document.text.size()) return false;
    if (!is_valid_utf8(block_text(document, block))) return false;
    position = block.end;
  }
  return true;
}

/// Something like a WordPiece vocabulary: four letters a token, punctuation and wide characters by
/// themselves, and a word that is too long is one unknown token.
inline std::size_t count_like_wordpiece(std::string_view text) {
  std::size_t tokens = 0;
  std::size_t word = 0;
  const auto end_word = [&] {
    tokens += word == 0 ? 0 : word > 100 ? 1 : (word + 3) / 4;
    word = 0;
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
    if (letter) {
      ++word;
      continue;
    }
    end_word();
    if (byte > ' ' && (byte & 0xC0u) != 0x80u) ++tokens;
  }
  end_word();
  return tokens;
}

/// Counts bytes, white space included: four are a token.
inline std::size_t count_bytes(std::string_view text) { return (text.size() + 3) / 4; }

}  // namespace reef::text::test
