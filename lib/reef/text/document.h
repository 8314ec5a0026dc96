#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace reef::text {

/// `converted`: through a program that the operator named (ExtractOptions::converters).
enum class Format { text, markdown, html, pdf, json, jsonl, man, source, converted };

/// A run of a document's text that belongs together (paragraph, list item, table, code block, page).
struct Block {
  std::uint64_t start = 0;  ///< byte offsets into Document::text (not the whole document's)
  std::uint64_t end = 0;
  std::string heading_path;  ///< "Install > From source", empty before the first heading
  std::uint32_t page = 0;    ///< from 1; 0 where the format has no pages
  bool verbatim = false;     ///< code or a table: cut at line ends only, and kept whole where it fits
};

/// One document, or one part of a long one: extracted text, always valid UTF-8, cut in blocks.
///
/// Offsets that reef stores and cites count bytes of the extracted text, which for plain text,
/// Markdown and source code is the file itself; `base_offset` places a part in the whole.
struct Document {
  /// Of its JSONL line or JSON array element ("line-17", "item-17" where that has none); empty: the
  /// caller uses the file's path.
  std::string id;
  bool id_is_place = false;  ///< unique within the file only: the caller puts the path before it
  std::string title;         ///< of the JSONL line, <title>, first heading, NAME section; may be empty
  std::string text;
  std::vector<Block> blocks;
  std::vector<std::string> tags;  ///< JSONL only
  std::string created;            ///< JSONL "created" or "date" if it parses, RFC 3339; else empty
  std::string unread_date;        ///< the one that does not parse, as it stands there
  std::uint64_t base_offset = 0;
  std::uint64_t line = 0;  ///< JSONL: line of the file, from 1
  bool last_part = true;
};

}  // namespace reef::text
