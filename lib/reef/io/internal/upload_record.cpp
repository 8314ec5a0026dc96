#include "reef/io/internal/upload_record.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <span>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io::internal {
namespace {

constexpr std::uint64_t kMaxBytes = 8 << 20;  // 10,000 parts, with ETags longer than any service's
constexpr std::uint32_t kMaxPartNumber = 10'000;
constexpr std::size_t kDigits = 16;
constexpr std::string_view kFirstLine = "reef-upload 1";

std::string sealed(const std::string& line) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(line.data()), line.size());
  return fmt::format("{} {:016x}\n", line, xxh3(bytes));
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    if (blank == std::string_view::npos) return words;
    line.remove_prefix(blank + 1);
  }
}

/// Those at the front that are whole, without their checksums.
std::vector<std::string> whole_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || end < kDigits + 2) return lines;
    const std::string line(text.substr(0, end - kDigits - 1));
    if (sealed(line) != text.substr(0, end + 1)) return lines;
    lines.push_back(line);
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool is_number = !digits.empty() && error == std::errc{} && end == digits.data() + digits.size();
  return is_number ? std::optional(value) : std::nullopt;
}

std::string part_line(std::uint32_t number, const UploadRecord::Part& part) {
  return sealed(fmt::format("part {} {} {}", number, to_hex(part.sha256), part.etag));
}

bool is_one_word(std::string_view text) {
  return !text.empty() && text.find_first_of(" \r\n") == std::string_view::npos;
}

}  // namespace

fs::path UploadRecord::path_of(const fs::path& folder, const std::string& url) {
  return folder / (to_hex(io::sha256(url)).substr(0, 32) + ".upload");
}

std::optional<UploadRecord> UploadRecord::read(const fs::path& path) {
  std::vector<std::string> lines;
  try {
    lines = whole_lines(read_file(path, kMaxBytes));
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return std::nullopt;
  }
  if (lines.size() < 4 || lines[0] != kFirstLine) return std::nullopt;
  UploadRecord record;
  const auto url = words_of(lines[1]), id = words_of(lines[2]), file = words_of(lines[3]);
  if (url.size() != 2 || url[0] != "url" || id.size() != 2 || id[0] != "id" || file.size() != 4 || file[0] != "file")
    return std::nullopt;
  const auto bytes = number(file[2]), part_bytes = number(file[3]);
  if (!bytes || !part_bytes || *part_bytes == 0) return std::nullopt;
  record.url = url[1];
  record.id = id[1];
  record.sha256 = digest_from_hex(file[1]);
  record.bytes = *bytes;
  record.part_bytes = *part_bytes;
  for (std::size_t i = 4; i < lines.size(); ++i) {
    const auto words = words_of(lines[i]);
    const auto n = words.size() == 4 && words[0] == "part" ? number(words[1]) : std::nullopt;
    if (!n || *n == 0 || *n > kMaxPartNumber) return std::nullopt;
    record.parts[static_cast<std::uint32_t>(*n)] = {digest_from_hex(words[2]), std::string(words[3])};
  }
  return record;
}

void UploadRecord::begin(const fs::path& path) {
  if (!is_one_word(url) || !is_one_word(id))
    throw Error(Errc::failed, fmt::format("{}: the id that the service gave the upload holds blanks", url));
  std::string text = sealed(std::string(kFirstLine)) + sealed("url " + url) + sealed("id " + id) +
                     sealed(fmt::format("file {} {} {}", to_hex(sha256), bytes, part_bytes));
  for (const auto& [number, part] : parts) text += part_line(number, part);
  replace_file(path, text, 0600);
  path_ = path;
  fd_ = open_file(path, O_WRONLY | O_APPEND);
}

void UploadRecord::add(std::uint32_t number, const Part& part) {
  parts[number] = part;
  if (!is_one_word(part.etag)) return;  // no service has such a one; the part would be sent again
  write_all(fd_.get(), part_line(number, part), path_);
}

}  // namespace reef::io::internal
