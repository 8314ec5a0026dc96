#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reef/text/document.h"

namespace reef::text {

/// What could not be read, where, and why; the rest of the file is still used (status 3).
struct Fault {
  std::uint64_t line = 0;  ///< from 1; 0: the whole file
  std::string reason;
  bool unread = true;  ///< what stands there is not known; false: it is, and was left out
};

struct ExtractOptions {
  /// Files above are refused unless `stream` is set and the format is text, Markdown, source or JSONL.
  std::uint64_t max_file_bytes = 256ull << 20;
  /// Deliver long text in parts of a few MiB, in bounded memory.
  bool stream = false;
  /// Programs that turn other files into text: extension (".docx") to argv, "{}" standing for the file.
  std::map<std::string, std::vector<std::string>> converters;
  /// Limits of pdftotext, the HTML helper and converters.
  std::uint64_t child_memory_bytes = 1ull << 30;
  std::uint32_t child_seconds = 60;
  std::uint64_t child_output_bytes = 64ull << 20;
  /// Where the output of children goes; removed after use.
  std::filesystem::path scratch;
};

/// By extension, then by content (man page macros, "%PDF-", "<!doctype html", NUL bytes).
/// nullopt: a binary that nobody reads, whatever it is called.
std::optional<Format> detect_format(const std::filesystem::path& file, const ExtractOptions& options);

/// The name that the registry records: "markdown", "pdf", "converter:.docx" (of `file`).
std::string format_name(Format format, const std::filesystem::path& file = {});

/// Delivers every document of a file (one, but for JSON arrays and JSONL), long ones in parts.
/// Throws Error when nothing of the file can be used (unreadable, too large, encrypted PDF, child
/// over its limits), with a hint; faults of single lines are returned.
std::vector<Fault> extract(const std::filesystem::path& file, const ExtractOptions& options,
                           const std::function<void(Document&&)>& on_document);

}  // namespace reef::text
