#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reef::text {

enum class Format { text, markdown, html, pdf, json, jsonl, man, source };

/// A run of a document's text that belongs together (paragraph, list item, table, code block, page).
struct Block {
  std::uint64_t start = 0;  ///< byte offsets into Document::text (not the whole document's)
  std::uint64_t end = 0;
  std::string heading_path;  ///< "Install > From source", empty before the first heading
  std::uint32_t page = 0;    ///< from 1; 0 where the format has no pages
};

/// One document, or one part of a long one: extracted text, always valid UTF-8, cut in blocks.
///
/// Offsets that reef stores and cites count bytes of the extracted text, which for plain text,
/// Markdown and source code is the file itself; `base_offset` places a part in the whole.
struct Document {
  std::string id;     ///< of its JSONL line; empty: the caller uses the file's path
  std::string title;  ///< of the JSONL line, <title>, first heading, NAME section; may be empty
  std::string text;
  std::vector<Block> blocks;
  std::vector<std::string> tags;  ///< JSONL only
  std::string created;            ///< JSONL "created" or "date" if it parses, RFC 3339; else empty
  std::uint64_t base_offset = 0;
  std::uint64_t line = 0;  ///< JSONL: line of the file, from 1
  bool last_part = true;
};

}  // namespace reef::text
