#pragma once

#include <string_view>

#include "reef/text/document.h"

namespace reef::text {

/// The readable text of an HTML page: title, headings as heading path, paragraphs, list items,
/// tables as lines of cells, code. Scripts, styles, navigation, forms and hidden elements are left
/// out. libxml2 repairs what is malformed and converts the encoding that the page declares.
/// Throws Error{failed} when the page cannot be read at all.
Document html_text(std::string_view html);

}  // namespace reef::text
