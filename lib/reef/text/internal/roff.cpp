#include "reef/text/internal/roff.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace reef::text::internal {
namespace {

/// A string may be used many times over; what it adds to a hostile page stays bounded.
constexpr std::size_t kStringBytes = 256;

constexpr auto kCharacters = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"bu", "•"}, {"em", "—"},  {"en", "–"}, {"hy", "-"}, {"lq", "“"},  {"rq", "”"},  {"oq", "‘"}, {"cq", "’"},
    {"aq", "'"}, {"dq", "\""}, {"ga", "`"}, {"ha", "^"}, {"ti", "~"},  {"rs", "\\"}, {"co", "©"}, {"rg", "®"},
    {"tm", "™"}, {"mi", "−"},  {"mu", "×"}, {"di", "÷"}, {"+-", "±"},  {"<=", "≤"},  {">=", "≥"}, {"!=", "≠"},
    {"==", "≡"}, {"~=", "≈"},  {"~~", "≈"}, {"->", "→"}, {"<-", "←"},  {"ua", "↑"},  {"da", "↓"}, {"de", "°"},
    {"sc", "§"}, {"dg", "†"},  {"dd", "‡"}, {"12", "½"}, {"14", "¼"},  {"34", "¾"},  {"ss", "ß"}, {":a", "ä"},
    {":o", "ö"}, {":u", "ü"},  {":A", "Ä"}, {":O", "Ö"}, {":U", "Ü"},  {":e", "ë"},  {":i", "ï"}, {"'a", "á"},
    {"'e", "é"}, {"'i", "í"},  {"'o", "ó"}, {"'u", "ú"}, {"'E", "É"},  {"`a", "à"},  {"`e", "è"}, {"`o", "ò"},
    {"^a", "â"}, {"^e", "ê"},  {"^i", "î"}, {"^o", "ô"}, {"^u", "û"},  {"~n", "ñ"},  {",c", "ç"}, {"oa", "å"},
    {"oA", "Å"}, {"/o", "ø"},  {"/O", "Ø"}, {"ae", "æ"}, {"AE", "Æ"},  {"bv", "|"},  {"br", "|"}, {"or", "|"},
    {"ba", "|"}, {"sl", "/"},  {"lB", "["}, {"rB", "]"}, {"lC", "{"},  {"rC", "}"},  {"la", "<"}, {"ra", ">"},
    {"sq", "□"}, {"ci", "○"},  {"Eu", "€"}, {"eu", "€"}, {"Po", "£"},  {"Ye", "¥"},  {"ct", "¢"}, {"Fo", "«"},
    {"Fc", "»"}, {"fo", "‹"},  {"fc", "›"}, {"*m", "μ"}, {"mc", "µ"},  {"*a", "α"},  {"*b", "β"}, {"*p", "π"},
    {"sr", "√"}, {"if", "∞"},  {"fm", "′"}, {"**", "*"}, {"pl", "+"},  {"eq", "="},  {"at", "@"}, {"sh", "#"},
    {"Do", "$"}, {"shc", ""},  {"Tm", "™"}, {"R", "®"},  {"rs", "\\"}, {"lh", "☜"},  {"rh", "☞"}, {"OK", "✓"},
});

/// Escapes whose argument stands between two equal characters: \h'4n'.
constexpr std::string_view kQuotedEscapes = "hvwxlLDbXABRSZ";
constexpr std::string_view kSilentEscapes = "&),/%:|^!{}dupra";

bool quoted_argument(std::string_view text, std::size_t& at, std::string_view& inside) {
  if (at >= text.size() || static_cast<unsigned char>(text[at]) >= 0x80) return false;
  const std::size_t close = text.find(text[at], at + 1);
  if (close == std::string_view::npos) return false;
  inside = text.substr(at + 1, close - at - 1);
  at = close + 1;
  return true;
}

/// \s0, \s+1, \s-2, \s(12, \s[12], \s'12'.
void skip_size(std::string_view text, std::size_t& at) {
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  if (at >= text.size()) return;
  if (text[at] == '(') {
    at = character_start(text, std::min(at + 3, text.size()));
  } else if (text[at] == '[' || text[at] == '\'') {
    const std::size_t close = text.find(text[at] == '[' ? ']' : '\'', at + 1);
    if (close != std::string_view::npos) at = close + 1;
  } else if (is_digit(text[at])) {
    ++at;
  }
}

bool is_control(std::string_view line) { return !line.empty() && (line[0] == '.' || line[0] == '\''); }

/// Without the dot and the blanks that may stand behind it.
std::string_view control_rest(std::string_view line) {
  line.remove_prefix(1);
  while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  return line;
}

std::string_view first_word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
  return word;
}

int block_depth(std::string_view line) {
  int depth = 0;
  for (std::size_t at = line.find('\\'); at != std::string_view::npos && at + 1 < line.size();
       at = line.find('\\', at + 2)) {
    depth += line[at + 1] == '{' ? 1 : line[at + 1] == '}' ? -1 : 0;
  }
  return depth;
}

}  // namespace

std::string roff_character(std::string_view name) {
  for (const auto& [known, text] : kCharacters) {
    if (known == name) return std::string(text);
  }
  if (name.size() >= 5 && name.size() <= 7 && name[0] == 'u') {
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), code, 16);
    std::string out;
    if (error == std::errc() && end == name.data() + name.size()) append_utf8(out, code);
    return out;
  }
  return {};
}

/// What names a string, font or character: one character, "(xx" or "[name]".
std::string_view RoffSource::name_at(std::string_view text, std::size_t& at) const {
  if (at >= text.size()) return {};
  std::size_t begin = at;
  std::size_t length = 1;
  std::size_t behind = 0;
  if (text[at] == '(') {
    begin = at + 1;
    length = 2;
  } else if (text[at] == '[') {
    begin = at + 1;
    const std::size_t close = text.find(']', begin);
    length = close == std::string_view::npos ? text.size() - begin : close - begin;
    behind = 1;
  }
  const std::string_view name = text.substr(std::min(begin, text.size()), length);
  at = std::min(begin + length + behind, text.size());
  // A name cut in the middle of a character would leave the rest as ill-formed UTF-8.
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u) ++at;
  return name;
}

void RoffSource::escape(std::string_view text, std::size_t& at, std::string& out, bool* glued) const {
  const char kind = text[at++];
  std::string_view inside;
  if (kind == '(' || kind == '[') {
    --at;
    out += roff_character(name_at(text, at));
  } else if (kind == '*') {
    const auto found = strings_.find(name_at(text, at));
    if (found != strings_.end()) out += found->second;
  } else if (kind == 'f' || kind == 'm' || kind == 'M' || kind == 'F' || kind == 'k' || kind == 'g') {
    name_at(text, at);
  } else if (kind == 'n') {
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    name_at(text, at);
  } else if (kind == 's') {
    skip_size(text, at);
  } else if (kind == 'o') {
    if (quoted_argument(text, at, inside)) out += unescape(inside.substr(0, character_end(inside, 0)));
  } else if (kQuotedEscapes.find(kind) != std::string_view::npos) {
    quoted_argument(text, at, inside);
  } else if (kind == 'c') {
    if (glued) *glued = true;
  } else if (kind == '"' || kind == '#') {
    at = text.size();
  } else if (kind == 'e' || kind == 'E' || kind == '\\') {
    out += '\\';
  } else if (kind == ' ' || kind == '~' || kind == '0' || kind == 't') {
    out += ' ';
  } else if (kSilentEscapes.find(kind) == std::string_view::npos) {
    out += kind;  // "\-", "\'", "\.", and what roff does not know
  }
}

std::string RoffSource::unescape(std::string_view text, bool* glued) const {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
    } else if (++at < text.size()) {
      escape(text, at, out, glued);
    }
  }
  return out;
}

std::optional<std::string_view> RoffSource::raw_line() {
  if (pending_) return std::exchange(pending_, std::nullopt);
  auto line = lines_.next();
  if (!line || !line->ends_with('\\') || line->ends_with("\\\\")) return line;
  // A backslash at the end joins lines.
  joined_ = line->substr(0, line->size() - 1);
  while (const auto more = lines_.next()) {
    joined_ += *more;
    if (!joined_.ends_with('\\') || joined_.ends_with("\\\\")) break;
    joined_.pop_back();
  }
  return joined_;
}

void RoffSource::skip_block(std::string_view first) {
  int depth = block_depth(first);
  while (depth > 0) {
    const auto line = raw_line();
    if (!line) return;
    depth += block_depth(*line);
  }
}

void RoffSource::skip_definition(std::string_view end_macro) {
  const std::string end = "." + std::string(end_macro.empty() ? "." : end_macro);
  while (const auto line = lines_.next()) {
    if (trimmed(*line) == end) return;
  }
}

void RoffSource::define_string(std::string_view rest) {
  const std::string_view name = first_word(rest);
  if (rest.starts_with('"')) rest.remove_prefix(1);
  const std::string value = unescape(rest.substr(0, character_start(rest, 4 * kStringBytes)));
  strings_[std::string(name)] = value.substr(0, character_start(value, kStringBytes));
}

/// What is left of a condition's line when its branch is taken (empty when not, and then the
/// branch is skipped). A terminal is "n" and not "t"; what cannot be told counts as untrue.
std::string_view RoffSource::condition(std::string_view rest, bool is_else) {
  bool holds = !last_condition_;
  if (!is_else) {
    const std::string_view test = first_word(rest);
    holds = test == "n" || test == "!t" || test == "1";
    last_condition_ = holds;
  }
  if (!holds) {
    skip_block(rest);
    return {};
  }
  while (!rest.empty() && (rest.starts_with("\\{") || is_space(rest[0]))) rest.remove_prefix(rest[0] == '\\' ? 2 : 1);
  return rest;
}

std::vector<std::string> RoffSource::arguments(std::string_view text) const {
  std::vector<std::string> args;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ' ' || text[at] == '\t') {
      ++at;
      continue;
    }
    if (text.substr(at).starts_with("\\\"")) break;
    std::string raw;
    if (text[at] == '"') {
      for (++at; at < text.size(); ++at) {
        if (text[at] == '"') {
          if (at + 1 >= text.size() || text[at + 1] != '"') break;
          ++at;
        }
        raw += text[at];
      }
      ++at;
    } else {
      for (; at < text.size() && text[at] != ' ' && text[at] != '\t'; ++at) {
        raw += text[at];
        if (text[at] == '\\' && at + 1 < text.size()) raw += text[++at];
      }
    }
    args.push_back(unescape(raw));
  }
  return args;
}

RoffSource::Line RoffSource::parse(std::string_view raw) const {
  Line line;
  if (!is_control(raw)) {
    line.text = unescape(raw, &line.glued);
    return line;
  }
  std::string_view rest = control_rest(raw);
  const std::string_view name = first_word(rest);
  line.macro = name.substr(0, name.find('\\'));  // "br\}"
  line.args = arguments(rest);
  return line;
}

std::optional<RoffSource::Line> RoffSource::next() {
  while (const auto raw = raw_line()) {
    if (!is_control(*raw)) {
      if (raw->starts_with("\\\"")) continue;
      return parse(*raw);
    }
    std::string_view rest = control_rest(*raw);
    if (rest.empty() || rest.starts_with("\\\"") || rest.starts_with("\\}")) continue;
    const std::string_view name = first_word(rest);
    if (name == "de" || name == "de1" || name == "am" || name == "ig") {
      if (name != "ig") first_word(rest);
      skip_definition(first_word(rest));
    } else if (name == "ds" || name == "ds1") {
      define_string(rest);
    } else if (name == "if" || name == "ie" || name == "el") {
      const std::string_view taken = condition(rest, name == "el");
      if (!taken.empty()) pending_ = taken;
    } else {
      return parse(*raw);
    }
  }
  return std::nullopt;
}

}  // namespace reef::text::internal
