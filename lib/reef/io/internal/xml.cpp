#include "reef/io/internal/xml.h"

#include <algorithm>
#include <charconv>

namespace reef::io::internal {
namespace {

constexpr std::size_t kMaxDepth = 12;
constexpr std::size_t kMaxElements = 200'000;
constexpr std::size_t kMaxReferenceBytes = 10;  // "&#1114111;"
constexpr std::string_view kBlanks = " \t\r\n";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_character(char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':'; }

void append_utf8(std::string& text, unsigned code) {
  const auto add = [&](unsigned byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6), add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12), add(0x80 | (code >> 6 & 0x3F)), add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | code >> 18), add(0x80 | (code >> 12 & 0x3F)), add(0x80 | (code >> 6 & 0x3F)), add(0x80 | (code & 0x3F));
  }
}

/// Each function takes what it is named after from the front of `rest_`, and is false where there is something else.
class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::optional<XmlElement> run() {
    blanks();  // what keeps a connection alive until the answer is known
    if (rest_.starts_with("<?xml")) {
      const std::size_t end = rest_.find("?>");
      if (end == std::string_view::npos) return std::nullopt;
      rest_.remove_prefix(end + 2);
    }
    blanks();
    XmlElement root;
    if (!element(root, 0)) return std::nullopt;
    blanks();
    if (!rest_.empty()) return std::nullopt;
    return root;
  }

 private:
  bool blanks() {
    const std::size_t count = std::min(rest_.find_first_not_of(kBlanks), rest_.size());
    rest_.remove_prefix(count);
    return count > 0;
  }

  bool literal(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  bool name(std::string& into) {
    if (rest_.empty() || !is_letter(rest_.front())) return false;
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_name_character);
    into.assign(rest_.begin(), end);
    rest_.remove_prefix(into.size());
    return true;
  }

  bool attribute() {
    std::string ignored;
    if (!name(ignored) || !literal("=") || rest_.empty()) return false;
    const char quote = rest_.front();
    if (quote != '"' && quote != '\'') return false;
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos || rest_.substr(0, end).find('<') != std::string_view::npos) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool reference(std::string& into) {
    const std::size_t end = rest_.substr(0, kMaxReferenceBytes).find(';');
    if (end == std::string_view::npos) return false;
    std::string_view what = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    constexpr std::pair<std::string_view, char> kNamed[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (const auto& [word, character] : kNamed) {
      if (what != word) continue;
      into += character;
      return true;
    }
    if (!what.starts_with('#')) return false;
    what.remove_prefix(1);
    const bool is_hexadecimal = what.starts_with('x');
    if (is_hexadecimal) what.remove_prefix(1);
    unsigned code = 0;
    const auto [stop, error] = std::from_chars(what.data(), what.data() + what.size(), code, is_hexadecimal ? 16 : 10);
    const bool is_character = code > 0 && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if (error != std::errc{} || stop != what.data() + what.size() || !is_character) return false;
    append_utf8(into, code);
    return true;
  }

  bool element(XmlElement& into, std::size_t depth) {
    if (depth > kMaxDepth || ++elements_ > kMaxElements || !literal("<") || !name(into.name)) return false;
    while (blanks()) {
      if (rest_.starts_with('>') || rest_.starts_with('/')) break;
      if (!attribute()) return false;
    }
    if (literal("/>")) return true;
    return literal(">") && content(into, depth) && end_of(into.name);
  }

  bool content(XmlElement& into, std::size_t depth) {
    while (true) {
      const std::size_t end = rest_.find_first_of("<&");
      if (end == std::string_view::npos) return false;
      into.text += rest_.substr(0, end);
      rest_.remove_prefix(end);
      if (rest_.starts_with("</")) return true;
      if (rest_.starts_with('&')) {
        if (!reference(into.text)) return false;
      } else if (!element(into.children.emplace_back(), depth + 1)) {
        return false;
      }
    }
  }

  bool end_of(std::string_view name) {
    if (!literal("</") || !literal(name)) return false;
    blanks();
    return literal(">");
  }

  std::string_view rest_;
  std::size_t elements_ = 0;
};

}  // namespace

const XmlElement* XmlElement::child(std::string_view wanted) const {
  const auto found = std::find_if(children.begin(), children.end(), [&](const auto& c) { return c.name == wanted; });
  return found == children.end() ? nullptr : &*found;
}

std::string XmlElement::text_of(std::string_view wanted) const {
  const XmlElement* found = child(wanted);
  return found ? found->text : std::string();
}

std::optional<XmlElement> parse_xml(std::string_view text) { return Parser(text).run(); }

}  // namespace reef::io::internal
