#include "reef/text/extract.h"

#include <fmt/format.h>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/text/internal/children.h"
#include "reef/text/internal/line_file.h"
#include "reef/text/internal/scanner.h"
#include "reef/text/internal/text_reader.h"
#include "reef/text/parse.h"

namespace reef::text {
namespace {

using internal::InputFile;

/// Parts of a streamed text: a few of them are in memory at once.
constexpr std::size_t kPartBytes = 2 << 20;
constexpr std::size_t kPartBlocks = 16384;
constexpr std::uint64_t kInterruptLines = 4096;

bool can_stream(Format format) {
  return format == Format::text || format == Format::markdown || format == Format::source || format == Format::jsonl;
}

[[noreturn]] void refuse_empty(const InputFile& file) {
  throw Error(Errc::failed, fmt::format("{} is empty", io::shown(file.path())));
}

void read_whole_text(const InputFile& file, Format format, const DocumentSink& on_document) {
  std::string text;
  internal::TextReader(file).fill(text, SIZE_MAX);
  Document document = parse_text(std::move(text), format);
  if (document.blocks.empty()) refuse_empty(file);
  on_document(std::move(document));
}

/// Parts end at block borders. One is held back until the next one shows whether it is the last.
void stream_text(const InputFile& file, Format format, const DocumentSink& on_document) {
  internal::TextReader reader(file);
  const auto scanner = internal::make_scanner(format);
  std::optional<Document> held;
  std::string buffer;
  std::size_t used = 0;  // bytes of the buffer that are in a part already
  std::uint64_t base = 0;
  bool more = true;
  while (more || used < buffer.size()) {
    check_interrupt();
    if (more && buffer.size() - used < kPartBytes / 2) {
      buffer.erase(0, used);
      used = 0;
      more = reader.fill(buffer, kPartBytes);
    }
    Document part;
    const std::string_view rest = std::string_view(buffer).substr(used);
    const std::size_t done = scanner->scan(rest, !more, part.blocks, kPartBlocks);
    part.base_offset = base;
    base += done;
    used += done;
    if (part.blocks.empty()) continue;
    part.text = rest.substr(0, done);
    part.title = scanner->title();
    if (held) {
      held->last_part = false;
      on_document(std::move(*held));
    }
    held = std::move(part);
  }
  if (!held) refuse_empty(file);
  on_document(std::move(*held));
}

std::vector<Fault> read_json_lines(const InputFile& file, const DocumentSink& on_document) {
  std::size_t mark = 0;
  if (internal::encoding_of(file.head(3), mark) != internal::Encoding::utf8) {
    throw Error(Errc::failed, fmt::format("{}: JSON lines in UTF-16 are not read", io::shown(file.path())),
                "convert it with 'iconv -f UTF-16 -t UTF-8'");
  }
  JsonLinesParser parser(on_document);
  internal::LineFile lines(file);
  while (const auto line = lines.next()) {
    if (line->number % kInterruptLines == 0) check_interrupt();
    if (line->too_long) {
      parser.fault(line->number, fmt::format("{} in one line, more than {}", format_size(line->length),
                                             format_size(internal::LineFile::kLongest)));
    } else {
      parser.line(line->bytes, line->number);
    }
  }
  std::vector<Fault> faults = parser.take_faults();
  if (parser.documents() == 0) {
    if (faults.empty()) refuse_empty(file);
    throw Error(Errc::failed,
                fmt::format("{}: no line of it is a document; line {}: {}", io::shown(file.path()), faults[0].line,
                            faults[0].reason),
                "each line must be a JSON object with a text, see reef-index(1)");
  }
  return faults;
}

std::vector<Fault> read_json(const InputFile& file, const DocumentSink& on_document) {
  const std::string bytes = io::read_file(file.path());
  try {
    return parse_json(bytes, on_document);
  } catch (const Error& e) {
    if (e.code() != Errc::failed) throw;
    throw Error(e.code(), fmt::format("{}: {}", io::shown(file.path()), e.what()), e.hint());
  }
}

void read_man(const InputFile& file, const ExtractOptions& options, const DocumentSink& on_document) {
  if (file.path().extension() != ".gz") return read_whole_text(file, Format::man, on_document);
  Document document = parse_text(internal::decode_whole(internal::gunzip(file.path(), options)), Format::man);
  if (document.blocks.empty()) refuse_empty(file);
  on_document(std::move(document));
}

void check_size(const InputFile& file, Format format, const ExtractOptions& options) {
  if (file.size() <= options.max_file_bytes || (options.stream && can_stream(format))) return;
  const char* hint = can_stream(format) ? "raise ingest.max_file_bytes in system.yaml, or pass --text-only"
                                        : "raise ingest.max_file_bytes in system.yaml";
  throw Error(Errc::failed,
              fmt::format("{} has {}, more than the limit of {}", io::shown(file.path()), format_size(file.size()),
                          format_size(options.max_file_bytes)),
              hint);
}

}  // namespace

std::vector<Fault> extract(const std::filesystem::path& path, const ExtractOptions& options,
                           const std::function<void(Document&&)>& on_document) {
  const InputFile file(path);
  if (file.size() == 0) refuse_empty(file);
  const std::optional<Format> format = detect_format(path, options);
  if (!format) {
    const std::string extension = path.extension().string();
    throw Error(Errc::failed, fmt::format("{} is a binary file of a kind that reef does not read", io::shown(path)),
                extension.empty() ? ""
                                  : fmt::format("name a program that turns {} into text under ingest.converters "
                                                "in system.yaml",
                                                extension));
  }
  check_size(file, *format, options);
  switch (*format) {
    case Format::text:
    case Format::markdown:
    case Format::source:
      if (options.stream) {
        stream_text(file, *format, on_document);
      } else {
        read_whole_text(file, *format, on_document);
      }
      break;
    case Format::html:
      on_document(internal::extract_html(path, options));
      break;
    case Format::pdf:
      on_document(internal::extract_pdf(path, options));
      break;
    case Format::converted:
      on_document(internal::extract_converted(path, options));
      break;
    case Format::man:
      read_man(file, options, on_document);
      break;
    case Format::json:
      return read_json(file, on_document);
    case Format::jsonl:
      return read_json_lines(file, on_document);
  }
  return {};
}

}  // namespace reef::text
