#include "reef/model/internal/json_scanner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/core/text.h"

namespace reef::model::internal {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, unsigned code) {
  const auto byte = [&](unsigned value) { out.push_back(static_cast<char>(value)); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | (code >> 6));
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 0x3F));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : to_valid_utf8(text)) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string legible(std::string_view name) { return ellipsis(printable(name), 80); }

void JsonScanner::fail(std::size_t position, const std::string& rule) const {
  const std::string subject = *subject_ == '\0' ? "" : fmt::format(" ({} {})", subject_, legible(subject_name_));
  throw Error(Errc::corrupt, fmt::format("{}: byte {}{}: {}", file_, offset_ + position, subject, rule),
              "the file is damaged; get it again from its source");
}

void JsonScanner::fail_expected(const char* what) const {
  if (position_ >= text_.size()) fail(position_, fmt::format("the JSON ends where {} is expected", what));
  fail(position_, fmt::format("{} is expected here", what));
}

void JsonScanner::skip_space() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') break;
    ++position_;
  }
}

char JsonScanner::peek() {
  skip_space();
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool JsonScanner::accept(char wanted) {
  skip_space();
  if (position_ >= text_.size() || text_[position_] != wanted) return false;
  ++position_;
  return true;
}

void JsonScanner::expect(char wanted, const char* what) {
  if (!accept(wanted)) fail_expected(what);
}

void JsonScanner::expect_end() {
  skip_space();
  if (position_ >= text_.size()) return;
  if (text_[position_] == '\0') fail(position_, "NUL bytes after the JSON object (padding must be spaces)");
  fail(position_, "bytes after the JSON object");
}

std::string JsonScanner::string(const char* what) {
  expect('"', what);
  const std::size_t begin = position_;
  std::string out;
  while (true) {
    // Runs without escapes are the rule: they are appended in one piece.
    const std::size_t run = position_;
    while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\\' &&
           static_cast<unsigned char>(text_[position_]) >= 0x20) {
      ++position_;
    }
    out.append(text_.substr(run, position_ - run));
    if (position_ >= text_.size()) fail(position_, "the JSON ends inside a string");
    if (text_[position_] == '"') break;
    if (text_[position_] != '\\') fail(position_, "a control byte in a string");
    escape(out);
  }
  const std::size_t sound = valid_utf8_prefix(text_.substr(begin, position_ - begin));
  if (begin + sound != position_) fail(begin + sound, "a string that is not UTF-8");
  ++position_;
  return out;
}

void JsonScanner::escape(std::string& out) {
  const std::size_t begin = position_++;
  if (position_ >= text_.size()) fail(position_, "the JSON ends inside a string");
  switch (const char c = text_[position_++]) {
    case '"':
    case '\\':
    case '/':
      out.push_back(c);
      return;
    case 'b':
      out.push_back('\b');
      return;
    case 'f':
      out.push_back('\f');
      return;
    case 'n':
      out.push_back('\n');
      return;
    case 'r':
      out.push_back('\r');
      return;
    case 't':
      out.push_back('\t');
      return;
    case 'u':
      break;
    default:
      fail(begin, "an unknown escape in a string");
  }
  unsigned code = hex4();
  if (code >= 0xDC00 && code < 0xE000) fail(begin, "a lone surrogate in a string");
  if (code >= 0xD800 && code < 0xDC00) {
    if (text_.substr(position_, 2) != "\\u") fail(begin, "a lone surrogate in a string");
    position_ += 2;
    const unsigned low = hex4();
    if (low < 0xDC00 || low >= 0xE000) fail(begin, "a lone surrogate in a string");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  append_utf8(out, code);
}

unsigned JsonScanner::hex4() {
  const std::string_view digits = text_.substr(position_, 4);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 4 || error != std::errc{} || end != digits.data() + 4) {
    fail(position_, "four hexadecimal digits must follow \\u");
  }
  position_ += 4;
  return value;
}

std::string_view JsonScanner::number(const char* what) {
  skip_space();
  const std::size_t begin = position_;
  const auto digits = [&] {
    const std::size_t first = position_;
    while (position_ < text_.size() && is_digit(text_[position_])) ++position_;
    return position_ - first;
  };
  const auto next_is = [&](char c) { return position_ < text_.size() && text_[position_] == c; };
  if (next_is('-')) ++position_;
  const std::size_t whole = position_;
  const std::size_t count = digits();
  if (count == 0) fail_expected(what);
  if (count > 1 && text_[whole] == '0') fail(begin, "a number with a leading zero");
  if (next_is('.')) {
    ++position_;
    if (digits() == 0) fail_expected("a digit");
  }
  if (next_is('e') || next_is('E')) {
    ++position_;
    if (next_is('+') || next_is('-')) ++position_;
    if (digits() == 0) fail_expected("a digit");
  }
  return text_.substr(begin, position_ - begin);
}

std::uint64_t JsonScanner::unsigned_integer(const char* what) {
  const std::string_view digits = number(what);
  const std::size_t begin = position_ - digits.size();
  if (digits.front() == '-') fail(begin, fmt::format("{} is negative", what));
  if (digits.find_first_not_of("0123456789") != std::string_view::npos) {
    fail(begin, fmt::format("{} is not an integer", what));
  }
  std::uint64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc{}) {
    fail(begin, fmt::format("{} does not fit in 64 bits", what));
  }
  return value;
}

void JsonScanner::skip_value(int depth) {
  if (depth > kMaxDepth) fail(position_, fmt::format("values nested more than {} deep", kMaxDepth));
  switch (peek()) {
    case '{':
      object("an object", [&](const std::string&, std::size_t) { skip_value(depth + 1); });
      return;
    case '[':
      array("an array", [&] { skip_value(depth + 1); });
      return;
    case '"':
      string("a string");
      return;
    default:
      break;
  }
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(position_, word.size()) == word) {
      position_ += word.size();
      return;
    }
  }
  number("a value");
}

}  // namespace reef::model::internal
