#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reef/text/document.h"
#include "reef/text/extract.h"

namespace reef::text::internal {

/// Formats that another program reads, under the limits of `options`: a hostile file may take that
/// program down, never the run. All throw Error{failed} with the program's own reason.

Document extract_pdf(const std::filesystem::path& file, const ExtractOptions& options);
Document extract_html(const std::filesystem::path& file, const ExtractOptions& options);
Document extract_converted(const std::filesystem::path& file, const ExtractOptions& options);
/// The content of a .gz file.
std::string gunzip(const std::filesystem::path& file, const ExtractOptions& options);

/// The text of pages that form feeds separate.
Document parse_pages(std::string text);

}  // namespace reef::text::internal
