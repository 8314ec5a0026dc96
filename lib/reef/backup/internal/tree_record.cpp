#include "reef/backup/internal/tree_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "reef/core/error.h"
#include "reef/core/text.h"

namespace reef::backup::internal {
namespace {

constexpr std::string_view kFirstLine = "#mtree";
constexpr std::string_view kExtras = "#  ";
constexpr std::string_view kLastLine = "# reef: ";
constexpr std::string_view kLastWord = " entries";
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::array<std::string_view, 3> kTypes{"file", "dir", "link"};

bool is_harmless(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._/+@").find(c) != std::string_view::npos;
}

void add_entry(std::string& text, const TreeRecord& record) {
  const Entry& entry = record.entry;
  const auto out = std::back_inserter(text);
  const std::int64_t rest = ((entry.modified_ns % kSecond) + kSecond) % kSecond;
  fmt::format_to(out, "{}{} type={} mode={:04o} uid={} gid={} time={}.{:09}", entry.path.empty() ? "." : "./",
                 escaped(entry.path), kTypes[static_cast<std::size_t>(entry.type)], entry.mode, entry.uid, entry.gid,
                 (entry.modified_ns - rest) / kSecond, rest);
  if (entry.type == EntryType::file)
    fmt::format_to(out, " size={} sha256digest={}", entry.size_bytes, io::to_hex(record.digest));
  if (entry.type == EntryType::link) fmt::format_to(out, " link={}", escaped(entry.link_target));
  text += '\n';
}

void add_extras(std::string& text, const TreeRecord& record) {
  std::string line;
  if (!record.entry.state.empty()) line += " state=" + escaped(record.entry.state);
  if (!record.entry.same_file_as.empty()) line += " same=" + escaped(record.entry.same_file_as);
  if (record.entry.type == EntryType::folder && !record.entry.link_target.empty())
    line += " led=" + escaped(record.entry.link_target);
  const char* separator = " rows=";
  for (const auto& [table, rows] : record.counts) {
    line += fmt::format("{}{}:{}", separator, escaped(table), rows);
    separator = ",";
  }
  if (!line.empty()) text += fmt::format("{}{}\n", kExtras, line.substr(1));
}

/// What stands before the next `separator`, which is taken off; all of it where there is none.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return piece;
}

template <class Number>
Number number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    throw std::invalid_argument(fmt::format("'{}' is no number", text));
  return value;
}

std::int64_t time_ns(std::string_view text) {
  const auto seconds = number<std::int64_t>(take(text, '.'));
  if (text.size() != 9) throw std::invalid_argument("a time without nine digits");
  constexpr std::int64_t kMost = INT64_MAX / kSecond - 1;
  if (seconds > kMost || seconds < -kMost) throw std::invalid_argument("a time beyond what is counted");
  return seconds * kSecond + number<std::uint32_t>(text);
}

io::Sha256Digest digest_of(std::string_view text) {
  const auto bytes = from_hex(text);
  io::Sha256Digest digest{};
  if (!bytes || bytes->size() != digest.size()) throw std::invalid_argument("a checksum without 64 digits");
  std::copy(bytes->begin(), bytes->end(), digest.begin());
  return digest;
}

EntryType type_of(std::string_view word) {
  const auto found = std::find(kTypes.begin(), kTypes.end(), word);
  if (found == kTypes.end()) throw std::invalid_argument(fmt::format("'{}' is no type", word));
  return static_cast<EntryType>(found - kTypes.begin());
}

TreeRecord read_entry(std::string_view line) {
  TreeRecord record;
  Entry& entry = record.entry;
  std::string_view path = take(line, ' ');
  if (path != ".") {
    if (!path.starts_with("./") || path.size() == 2) throw std::invalid_argument("a line without a path");
    entry.path = unescaped(path.substr(2));
  }
  unsigned seen = 0;
  while (!line.empty()) {
    std::string_view value = take(line, ' ');
    const std::string_view key = take(value, '=');
    if (key == "type")
      entry.type = type_of(value), seen |= 1;
    else if (key == "mode")
      entry.mode = number<std::uint32_t>(value, 8) & 07777, seen |= 2;
    else if (key == "uid")
      entry.uid = number<std::uint32_t>(value);
    else if (key == "gid")
      entry.gid = number<std::uint32_t>(value);
    else if (key == "time")
      entry.modified_ns = time_ns(value), seen |= 4;
    else if (key == "size")
      entry.size_bytes = number<std::uint64_t>(value), seen |= 8;
    else if (key == "sha256digest")
      record.digest = digest_of(value), seen |= 16;
    else if (key == "link")
      entry.link_target = unescaped(value), seen |= 32;
  }
  constexpr unsigned kAll = 7;
  const std::array<unsigned, 3> needed{kAll | 8 | 16, kAll, kAll | 32};
  if (seen != needed[static_cast<std::size_t>(entry.type)]) throw std::invalid_argument("a word is missing");
  return record;
}

void read_extras(std::string_view line, TreeRecord& record) {
  while (!line.empty()) {
    std::string_view value = take(line, ' ');
    const std::string_view key = take(value, '=');
    if (key == "state") record.entry.state = unescaped(value);
    if (key == "same") record.entry.same_file_as = unescaped(value);
    if (key == "led" && record.entry.type == EntryType::folder) record.entry.link_target = unescaped(value);
    while (key == "rows" && !value.empty()) {
      std::string_view rows = take(value, ',');
      const std::string_view table = take(rows, ':');
      record.counts.emplace_back(unescaped(table), number<std::uint64_t>(rows));
    }
  }
}

/// False at the line that ends the text.
bool read_line(std::string_view line, std::vector<TreeRecord>& records) {
  if (line.starts_with(kLastLine)) {
    line.remove_prefix(kLastLine.size());
    if (!line.ends_with(kLastWord)) throw std::invalid_argument("the count of entries is missing");
    line.remove_suffix(kLastWord.size());
    if (number<std::size_t>(line) != records.size()) throw std::invalid_argument("the entries are not all there");
    return false;
  }
  if (line.starts_with(kExtras)) {
    if (records.empty()) throw std::invalid_argument("a comment without an entry");
    read_extras(line.substr(kExtras.size()), records.back());
  } else {
    records.push_back(read_entry(line));
  }
  return true;
}

}  // namespace

std::string escaped(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char c : bytes) {
    if (is_harmless(c))
      text += c;
    else
      fmt::format_to(std::back_inserter(text), "\\{:03o}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string unescaped(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      bytes += text[at];
      continue;
    }
    if (text.size() - at < 4) throw std::invalid_argument("a byte without three digits");
    const auto value = number<unsigned>(text.substr(at + 1, 3), 8);
    if (value > 255) throw std::invalid_argument("a byte above 255");
    bytes += static_cast<char>(static_cast<unsigned char>(value));
    at += 3;
  }
  return bytes;
}

std::string to_mtree(const std::vector<TreeRecord>& records) {
  std::string text(kFirstLine);
  text += '\n';
  for (const TreeRecord& record : records) {
    add_entry(text, record);
    add_extras(text, record);
  }
  return text + fmt::format("{}{}{}\n", kLastLine, records.size(), kLastWord);
}

std::vector<TreeRecord> from_mtree(std::string_view text, const std::string& shown) {
  std::vector<TreeRecord> records;
  std::size_t number_of_line = 1;
  try {
    if (!text.ends_with('\n')) throw std::invalid_argument("the end of the list is missing");
    if (take(text, '\n') != kFirstLine) throw std::invalid_argument("this is no list of entries");
    do {
      ++number_of_line;
      if (text.empty()) throw std::invalid_argument("the end is missing");
    } while (read_line(take(text, '\n'), records));
    if (!text.empty()) throw std::invalid_argument("there is something behind the end");
  } catch (const std::invalid_argument& error) {
    throw Error(Errc::corrupt, fmt::format("{}, line {}: {}", shown, number_of_line, error.what()),
                "the snapshot's list of entries is damaged: restore from another snapshot, or copy its files by hand");
  }
  return records;
}

void add_sum(std::string& sums, const io::Sha256Digest& digest, std::string_view name) {
  const bool escapes = name.find_first_of("\\\n\r") != std::string_view::npos;
  if (escapes) sums += '\\';
  sums += io::to_hex(digest);
  sums += "  ";
  for (const char c : name) {
    switch (c) {
      case '\\':
        sums += "\\\\";
        break;
      case '\n':
        sums += "\\n";
        break;
      case '\r':
        sums += "\\r";
        break;
      default:
        sums += c;
    }
  }
  sums += '\n';
}

}  // namespace reef::backup::internal
