#include <algorithm>
#include <array>

#include "reef/core/text.h"
#include "reef/text/extract.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/text_reader.h"

namespace reef::text {
namespace {

using internal::Encoding;
using internal::is_space;

constexpr std::size_t kHeadBytes = 64 << 10;
/// More ill-formed UTF-8 or more control characters than one byte in this many: not text.
constexpr std::size_t kBinaryShare = 10;

constexpr auto kTextNames = std::to_array<std::string_view>({".txt", ".text", ".log", ".rst", ".adoc", ".org", ".tex"});
constexpr auto kMarkdownNames = std::to_array<std::string_view>({".md", ".markdown", ".mkd", ".mdown"});
constexpr auto kHtmlNames = std::to_array<std::string_view>({".html", ".htm", ".xhtml"});
constexpr auto kSourceNames = std::to_array<std::string_view>(
    {".c",   ".h",    ".cc",  ".hh",   ".cpp",     ".hpp",   ".cxx",   ".hxx", ".m",     ".mm",   ".rs",
     ".go",  ".py",   ".pyi", ".rb",   ".pl",      ".pm",    ".php",   ".js",  ".mjs",   ".jsx",  ".ts",
     ".tsx", ".java", ".kt",  ".kts",  ".scala",   ".cs",    ".fs",    ".vb",  ".swift", ".lua",  ".r",
     ".jl",  ".hs",   ".ml",  ".mli",  ".clj",     ".el",    ".lisp",  ".scm", ".ex",    ".exs",  ".erl",
     ".sh",  ".bash", ".zsh", ".fish", ".ps1",     ".sql",   ".cmake", ".mk",  ".css",   ".scss", ".yaml",
     ".yml", ".toml", ".ini", ".conf", ".service", ".proto", ".asm",   ".cu",  ".dart"});
constexpr auto kSourceFiles =
    std::to_array<std::string_view>({"makefile", "cmakelists.txt", "dockerfile", "meson.build"});

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// ".1", ".3pm", ".8": a section of the manual.
bool is_manual_section(std::string_view extension) {
  return extension.size() >= 2 && extension[1] >= '1' && extension[1] <= '9' &&
         std::all_of(extension.begin() + 2, extension.end(), [](char c) { return internal::is_alpha(c); });
}

bool is_binary(std::string_view head) {
  std::size_t mark = 0;
  if (internal::encoding_of(head, mark) != Encoding::utf8) return false;
  if (head.find('\0') != std::string_view::npos) return true;
  const auto control = static_cast<std::size_t>(std::count_if(head.begin(), head.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && !is_space(c) && c != '\x1b' && c != '\b';
  }));
  if (control * kBinaryShare > head.size()) return true;
  if (is_valid_utf8(head)) return false;
  const std::string repaired = to_valid_utf8(head);
  std::size_t replaced = 0;
  for (std::size_t at = repaired.find("\uFFFD"); at != std::string::npos; at = repaired.find("\uFFFD", at + 1)) {
    ++replaced;
  }
  return replaced * kBinaryShare > head.size();
}

/// A man page starts with comments and definitions, then comes the macro that names the page.
bool looks_like_roff(std::string_view head) {
  internal::Lines lines(head);
  bool first = true;
  while (const auto line = lines.next()) {
    if (internal::is_blank(*line)) continue;
    if (first && (*line)[0] != '.' && (*line)[0] != '\'') return false;
    first = false;
    for (const std::string_view macro : {".TH ", ".Dd ", ".Dt ", ".so "}) {
      if (line->starts_with(macro)) return true;
    }
  }
  return false;
}

bool starts_like_html(std::string_view head) {
  head = internal::trimmed(head.starts_with("\xEF\xBB\xBF") ? head.substr(3) : head);
  return internal::equal_ignoring_case(head.substr(0, 14), "<!doctype html") ||
         internal::equal_ignoring_case(head.substr(0, 5), "<html");
}

}  // namespace

std::optional<Format> detect_format(const std::filesystem::path& file, const ExtractOptions& options) {
  const std::string extension = internal::lower_case(file.extension().string());
  if (options.converters.contains(extension)) return Format::converted;
  if (extension == ".pdf") return Format::pdf;
  if (extension == ".gz") {
    if (is_manual_section(file.stem().extension().string())) return Format::man;
    return std::nullopt;
  }
  const std::string head = internal::InputFile(file).head(kHeadBytes);
  if (head.starts_with("%PDF-")) return Format::pdf;
  if (is_binary(head)) {
    // Readers of PDF accept rubbish before the header.
    return head.substr(0, 1024).find("%PDF-") != std::string::npos ? std::optional(Format::pdf) : std::nullopt;
  }
  if (contains(kMarkdownNames, extension)) return Format::markdown;
  if (contains(kHtmlNames, extension)) return Format::html;
  if (extension == ".json") return Format::json;
  if (extension == ".jsonl" || extension == ".ndjson") return Format::jsonl;
  if (contains(kSourceFiles, internal::lower_case(file.filename().string()))) return Format::source;
  if (contains(kSourceNames, extension)) return Format::source;
  if (contains(kTextNames, extension)) return Format::text;
  if ((extension.empty() || is_manual_section(extension)) && looks_like_roff(head)) return Format::man;
  if (starts_like_html(head)) return Format::html;
  if (head.starts_with("#!")) return Format::source;
  return Format::text;
}

std::string format_name(Format format, const std::filesystem::path& file) {
  switch (format) {
    case Format::text:
      return "text";
    case Format::markdown:
      return "markdown";
    case Format::html:
      return "html";
    case Format::pdf:
      return "pdf";
    case Format::json:
      return "json";
    case Format::jsonl:
      return "jsonl";
    case Format::man:
      return "man";
    case Format::source:
      return "source";
    case Format::converted:
      break;
  }
  return "converter:" + internal::lower_case(file.extension().string());
}

}  // namespace reef::text
