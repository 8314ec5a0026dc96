#pragma once

#include <cstdint>
#include <string_view>

#include "reef/text/document.h"
#include "reef/text/internal/headings.h"

namespace reef::text {

/// Puts a document together for formats whose text is not the file itself (HTML, man pages, JSON).
/// Blocks stand one empty line apart, `tight` ones (list items) on lines of their own.
class DocumentBuilder {
 public:
  /// A heading is a block of its own; later blocks carry it in their path. Blank ones are ignored.
  void heading(int level, std::string_view text);
  /// `text` is valid UTF-8; blank blocks are ignored.
  void paragraph(std::string_view text, bool tight = false) { add(text, false, tight); }
  /// Code or a table: white space inside is kept.
  void verbatim(std::string_view text) { add(text, true, false); }

  /// Title unless one is set already.
  void title(std::string_view text);
  void page(std::uint32_t number) { page_ = number; }
  const std::string& heading_path() const { return headings_.path(); }
  std::size_t size() const { return document_.text.size(); }

  Document take() { return std::move(document_); }

 private:
  void add(std::string_view text, bool verbatim, bool tight);

  Document document_;
  internal::Headings headings_;
  std::uint32_t page_ = 0;
};

}  // namespace reef::text
