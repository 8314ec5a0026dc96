#include "reef/recover/internal/restore_journal.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string_view>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::recover::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHead = "reef restore 1";
constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;

std::string escaped(const fs::path& path) {
  std::string text;
  for (const char c : path.native()) {
    if (c > ' ' && c < 127 && c != '%')
      text += c;
    else
      text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

std::optional<fs::path> unescaped(std::string_view text) {
  std::string path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      path += text[i];
      continue;
    }
    const auto byte = i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
    if (!byte) return std::nullopt;
    path += static_cast<char>(byte->front());
    i += 2;
  }
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) return std::nullopt;
  return path;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end + 1);
  }
}

std::uint64_t sum_of(std::string_view text) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// False for a line that cannot be.
bool read_line(std::string_view line, Journal& journal) {
  const auto words = words_of(line);
  if (words.size() == 2 && words[0] == "staging") {
    auto folder = unescaped(words[1]);
    if (!folder) return false;
    journal.stagings.push_back(std::move(*folder));
    return true;
  }
  if (words.size() == 2 && words[0] == "rows") {
    journal.persona = words[1];
    return tree::is_persona_id(words[1]);
  }
  if (words.size() != 4 || words[0] != "item") return false;
  Journal::Item item;
  const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), item.inode);
  auto staged = unescaped(words[2]);
  auto target = unescaped(words[3]);
  if (error != std::errc{} || end != words[1].data() + words[1].size() || !staged || !target) return false;
  item.staged = std::move(*staged);
  item.target = std::move(*target);
  journal.items.push_back(std::move(item));
  return true;
}

}  // namespace

void write_journal(const fs::path& folder, const Journal& journal) {
  std::string text = std::string(kHead) + "\n";
  for (const fs::path& staging : journal.stagings) text += fmt::format("staging {}\n", escaped(staging));
  for (const Journal::Item& item : journal.items)
    text += fmt::format("item {} {} {}\n", item.inode, escaped(item.staged), escaped(item.target));
  if (!journal.persona.empty()) text += fmt::format("rows {}\n", journal.persona);
  text += fmt::format("end {:016x}\n", sum_of(text));
  io::replace_file(folder / kJournalName, text, 0600);
}

std::optional<Journal> read_journal(const fs::path& folder) {
  const fs::path file = folder / kJournalName;
  std::string text;
  try {
    text = io::read_file(file, kMostBytes);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) return std::nullopt;
    throw;
  }
  const auto damaged = [&] {
    return Error(
        Errc::corrupt,
        fmt::format("{} is damaged: a restore was interrupted, and what was left to do is lost", io::shown(file)),
        fmt::format("what is not in its place yet is in {}: compare, move it, and remove that folder",
                    io::shown(folder)));
  };
  const std::size_t end = text.rfind("end ");
  if (end == std::string::npos || text.substr(end) != fmt::format("end {:016x}\n", sum_of({text.data(), end})))
    throw damaged();
  std::string_view rest(text.data(), end);
  Journal journal;
  for (bool first = true; !rest.empty(); first = false) {
    const std::size_t stop = rest.find('\n');
    if (stop == std::string_view::npos) throw damaged();
    const std::string_view line = rest.substr(0, stop);
    if (first ? line != kHead : !read_line(line, journal)) throw damaged();
    rest.remove_prefix(stop + 1);
  }
  return journal;
}

}  // namespace reef::recover::internal
