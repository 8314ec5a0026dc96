#include "reef/text/internal/children.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/io/process.h"
#include "reef/text/internal/scanner.h"
#include "reef/text/internal/strings.h"
#include "reef/text/internal/text_reader.h"
#include "reef/text/neutral.h"

namespace reef::text::internal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLimitsHint = "raise ingest.limits in system.yaml if you trust the file";

/// A new empty file in `folder` (the system's temporary folder if that is empty), removed at the end.
class ScratchFile {
 public:
  explicit ScratchFile(const fs::path& folder) {
    std::string name = ((folder.empty() ? fs::temp_directory_path() : folder) / "reef-extract.XXXXXX").string();
    const io::UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd) throw_errno("create", name);
    path_ = name;
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { ::unlink(path_.c_str()); }

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// The first line of what the program said, without the program's name for the file.
std::string reason_of(const io::ProcessResult& result) {
  Lines lines(result.error_text);
  while (const auto line = lines.next()) {
    if (!is_blank(*line)) return std::string(shortened(*line, 200));
  }
  if (result.status > 128) return fmt::format("ended by signal {}", result.status - 128);
  return fmt::format("ended with status {}", result.status);
}

std::string run(const std::string& program, const std::vector<std::string>& argv, const fs::path& file,
                const ExtractOptions& options, const std::string& missing_hint) {
  const ScratchFile output(options.scratch);
  io::ProcessLimits limits;
  limits.wall = std::chrono::seconds(options.child_seconds);
  limits.cpu = std::chrono::seconds(options.child_seconds);
  limits.memory_bytes = options.child_memory_bytes;
  limits.output_bytes = options.child_output_bytes;
  const auto fail = [&](const std::string& what, const std::string& hint = {}) {
    throw Error(Errc::failed, fmt::format("{}: {}: {}", io::shown(file), program, what), hint);
  };
  io::ProcessResult result;
  try {
    result = io::run_process(argv, output.path(), limits);
  } catch (const Error& e) {
    if (e.code() == Errc::not_found) fail("the program is not installed", missing_hint);
    throw;
  }
  if (result.timed_out || result.status == 128 + SIGXCPU || result.status == 128 + SIGKILL) {
    fail(fmt::format("stopped after {} s", options.child_seconds), kLimitsHint);
  }
  const InputFile written(output.path());
  if (result.status == 128 + SIGXFSZ || (limits.output_bytes > 0 && written.size() >= limits.output_bytes)) {
    fail(fmt::format("its text is longer than {}", format_size(limits.output_bytes)), kLimitsHint);
  }
  if (result.status != 0) {
    const std::string reason = reason_of(result);
    // Whatever the program is called: what it lacks is what we granted.
    fail(reason, reason.find("memory") != std::string::npos ? kLimitsHint : "");
  }
  return io::read_file(output.path());
}

Document non_empty(Document document, const fs::path& file, const std::string& hint) {
  if (document.blocks.empty()) throw Error(Errc::failed, fmt::format("{} holds no text", io::shown(file)), hint);
  return document;
}

}  // namespace

Document parse_pages(std::string text) {
  Document document;
  document.text = std::move(text);
  const std::string_view all = document.text;
  std::uint32_t page = 1;
  for (std::size_t begin = 0; begin < all.size(); ++page) {
    const std::size_t end = std::min(all.find('\f', begin), all.size());
    const std::size_t first = document.blocks.size();
    make_text_scanner()->scan(all.substr(begin, end - begin), true, document.blocks, SIZE_MAX);
    for (std::size_t i = first; i < document.blocks.size(); ++i) {
      document.blocks[i].start += begin;
      document.blocks[i].end += begin;
      document.blocks[i].page = page;
    }
    begin = end + 1;
  }
  return document;
}

Document extract_pdf(const fs::path& file, const ExtractOptions& options) {
  // Reading order, not page layout: columns come one after the other, and lines of one paragraph
  // stay together. An absolute path cannot be taken for an option.
  const std::vector<std::string> argv = {"pdftotext", "-enc", "UTF-8", "-eol", "unix", fs::absolute(file).string(),
                                         "-"};
  const std::string bytes = run("pdftotext", argv, file, options, "install the package poppler-utils");
  return non_empty(parse_pages(decode_whole(bytes)), file,
                   "scanned pages need text recognition first, for example by a converter in system.yaml");
}

Document extract_html(const fs::path& file, const ExtractOptions& options) {
  const std::vector<std::string> argv = {io::helper_path("reef-extract").string(), fs::absolute(file).string()};
  const std::string bytes = run("reef-extract", argv, file, options, "install reef again, its helper is missing");
  try {
    return non_empty(read_neutral(bytes), file, "");
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    throw Error(Errc::failed, fmt::format("{}: {}", io::shown(file), e.what()));
  }
}

Document extract_converted(const fs::path& file, const ExtractOptions& options) {
  std::vector<std::string> argv = options.converters.at(lower_case(file.extension().string()));
  if (argv.empty()) {
    throw Error(Errc::usage, fmt::format("the converter for {} names no program", file.extension().string()),
                "write it as a list in ingest.converters of system.yaml: [pandoc, -t, markdown, '{}']");
  }
  for (std::string& argument : argv) {
    if (const std::size_t at = argument.find("{}"); at != std::string::npos) {
      argument.replace(at, 2, fs::absolute(file).string());
    }
  }
  const std::string program = argv[0];
  const std::string bytes = run(program, argv, file, options, "install it, or change ingest.converters in system.yaml");
  return non_empty(scan_whole(decode_whole(bytes), *make_markdown_scanner()), file, "");
}

std::string gunzip(const fs::path& file, const ExtractOptions& options) {
  const std::vector<std::string> argv = {"gzip", "-dc", fs::absolute(file).string()};
  return run("gzip", argv, file, options, "install the package gzip");
}

}  // namespace reef::text::internal
