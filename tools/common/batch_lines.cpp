#include "common/batch_lines.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/core/text.h"

namespace reef::tool {

void require_end(const std::istream& in, const std::string& name) {
  const bool stdin_failed = name == "-" && std::ferror(stdin) != 0;  // std::cin tells it as an end
  if (!in.bad() && !stdin_failed) return;
  // The stream keeps no reason; errno is the failed read's unless something was called in between.
  if (errno == 0) errno = EIO;
  throw_errno("read", name == "-" ? "standard input" : name);
}

std::string read_standard_input(const std::string& what) {
  constexpr std::size_t kMost = 1 << 20;
  std::string text(kMost + 1, '\0');
  errno = 0;
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::cin.gcount()));
  if (text.size() > kMost)
    throw Error(Errc::usage, fmt::format("standard input is more than 1 MiB, too much for {}", what),
                "pass less of it: the first lines, or one part at a time");
  require_end(std::cin, "-");
  return text;
}

BatchLines::BatchLines(const std::string& file) : name_(file), in_(&std::cin) {
  if (file == "-") return;
  file_.open(file);
  if (!file_) throw_errno("open", file);
  in_ = &file_;
}

/// False at the end. A file of another kind may be one line that fills the memory.
bool BatchLines::read_line(std::string& line) {
  constexpr std::size_t kLongest = 64 << 20;
  std::array<char, 1 << 16> piece;
  line.clear();
  for (;;) {
    in_->getline(piece.data(), piece.size());
    const auto count = static_cast<std::size_t>(in_->gcount());
    if (in_->bad() || (in_->fail() && count == 0)) return !in_->bad() && !line.empty();
    const bool goes_on = in_->fail();
    line.append(piece.data(), goes_on || in_->eof() ? count : count - 1);  // without the line feed, which is counted
    if (!goes_on) return true;
    if (line.size() > kLongest)
      throw Error(Errc::failed, fmt::format("{}:{}: a line of more than 64 MiB", name_, number_ + 1),
                  "name a file of one {\"id\",\"text\"} a line");
    in_->clear();
  }
}

bool BatchLines::next() {
  std::string line;
  errno = 0;
  while (read_line(line)) {
    ++number_;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    fault_.clear();
    persona_.reset();
    parse(line);
    return true;
  }
  require_end(*in_, name_);
  return false;
}

void BatchLines::parse(const std::string& line) {
  const auto json = nlohmann::json::parse(to_valid_utf8(line), nullptr, false);
  if (!json.is_object()) {
    fault_ = "not a JSON object";
    return;
  }
  const auto id = json.find("id");
  id_ = id == json.end() ? fmt::format("{}", number_) : id->is_string() ? id->get<std::string>() : id->dump();
  const auto text = json.find("text");
  if (text == json.end() || !text->is_string()) {
    fault_ = "\"text\" is missing or no string";
    return;
  }
  text_ = text->get<std::string>();
  if (const auto persona = json.find("persona"); persona != json.end()) {
    if (persona->is_string())
      persona_ = persona->get<std::string>();
    else
      fault_ = "\"persona\" is no string";
  }
}

}  // namespace reef::tool
