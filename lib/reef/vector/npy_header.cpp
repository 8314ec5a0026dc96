#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "reef/core/error.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/npy.h"

namespace reef::vector {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxDimensions = 32;  // numpy's own NPY_MAXDIMS
constexpr int kMaxNesting = 16;
constexpr int kCountWidth = 19;  // digits of 2^63 - 1
constexpr const char* kDamaged = "the file is damaged or no .npy file; restore it, or write it again with numpy.save";

/// Reads the one Python dictionary literal that a header is, and nothing else of Python.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void parse(NpyHeader& header) {
    bool seen_descr = false, seen_order = false, seen_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !seen_descr) {
        seen_descr = true;
        header.descr = descr();
      } else if (key == "fortran_order" && !seen_order) {
        seen_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !seen_shape) {
        seen_shape = true;
        header.shape = shape();
      } else {
        fail("has a key that is unknown or stands twice");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) fail("goes on after its dictionary");
    if (!seen_descr || !seen_order || !seen_shape) fail("lacks one of descr, fortran_order, shape");
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(Errc::corrupt, fmt::format("{}: the .npy header {} (byte {} of its dictionary)", name_, what, at_),
                kDamaged);
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }

  bool accept(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail(fmt::format("lacks a '{}'", wanted));
  }

  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("lacks a quoted word");
    const std::size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\\') ++at_;
    if (at_ >= text_.size() || text_[at_] != quote) fail("has a quoted word without end");
    return text_.substr(begin, at_++ - begin);
  }

  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair{"True", true}, std::pair{"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += std::string_view(word).size();
        return value;
      }
    }
    fail("has a fortran_order that is neither True nor False");
  }

  std::uint64_t integer() {
    skip_blanks();
    std::int64_t value = -1;
    const char* const begin = text_.data() + at_;
    const auto [end, status] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (status != std::errc{} || value < 0) fail("has a size that is no number from 0 to 2^63 - 1");
    at_ += static_cast<std::size_t>(end - begin);
    accept('L');  // Python 2 wrote long integers so
    return static_cast<std::uint64_t>(value);
  }

  std::vector<std::uint64_t> shape() {
    std::vector<std::uint64_t> sizes;
    expect('(');
    while (!accept(')')) {
      if (sizes.size() == kMaxDimensions) fail("has more than 32 dimensions");
      sizes.push_back(integer());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string descr() {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') {
      const std::size_t begin = at_;
      skip_structure(0);
      return internal::normalised_descr(text_.substr(begin, at_ - begin));
    }
    // A word that looks like a structure must not be taken for one.
    const std::string_view word = quoted();
    if (word.starts_with('[')) fail("has a type that numpy does not write");
    return std::string(word);
  }

  /// A list or tuple of words, sizes, lists and tuples.
  void skip_structure(int depth) {
    if (depth == kMaxNesting) fail("has a type nested too deep");
    const char close = text_[at_] == '[' ? ']' : ')';
    ++at_;
    while (!accept(close)) {
      skip_blanks();
      const char next = at_ < text_.size() ? text_[at_] : '\0';
      if (next == '[' || next == '(') {
        skip_structure(depth + 1);
      } else if (next == '\'' || next == '"') {
        quoted();
      } else {
        integer();
      }
      if (!accept(',')) {
        expect(close);
        break;
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const std::string& name_;
};

}  // namespace

NpyHeader parse_npy_header(std::span<const std::uint8_t> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) {
    throw Error(Errc::corrupt, fmt::format("{}: no .npy file (its first bytes are not \\x93NUMPY)", name), kDamaged);
  }
  const unsigned major = bytes.size() > 6 ? bytes[6] : 0u;
  const std::size_t prefix = major == 1 ? 10 : 12;  // magic, version, length of the dictionary
  if (bytes.size() < prefix) throw Error(Errc::corrupt, fmt::format("{}: ends within its .npy header", name), kDamaged);
  if (major < 1 || major > 3 || bytes[7] != 0) {
    throw Error(Errc::corrupt, fmt::format("{}: .npy version {}.{} is not one of 1.0, 2.0, 3.0", name, major, bytes[7]),
                kDamaged);
  }
  std::size_t length = bytes[8] | static_cast<std::size_t>(bytes[9]) << 8;
  if (major > 1) length |= static_cast<std::size_t>(bytes[10]) << 16 | static_cast<std::size_t>(bytes[11]) << 24;
  if (length > internal::kMaxNpyHeader - prefix) {
    throw Error(Errc::corrupt, fmt::format("{}: a .npy header of {} bytes, more than reef reads", name, length),
                kDamaged);
  }
  if (length > bytes.size() - prefix)
    throw Error(Errc::corrupt, fmt::format("{}: ends within its .npy header", name), kDamaged);
  NpyHeader header;
  header.data_offset = prefix + length;
  HeaderParser(text.substr(prefix, length), name).parse(header);
  return header;
}

namespace internal {

std::string npy_header_text(std::string_view descr, std::uint64_t rows, std::size_t columns, std::size_t data_offset) {
  constexpr std::size_t kPrefix = 10;
  constexpr std::size_t kAlignment = 64;
  const std::string quoted = descr.starts_with('[') ? std::string(descr) : fmt::format("'{}'", descr);
  const std::string second = columns == 0 ? std::string() : fmt::format(" {}", columns);
  std::string dictionary =
      fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': ({:>{}},{}), }}", quoted, rows, kCountWidth, second);
  const std::size_t needed = kPrefix + dictionary.size() + 1;
  const std::size_t total = data_offset != 0 ? data_offset : (needed + kAlignment - 1) / kAlignment * kAlignment;
  if (needed > total || total - kPrefix > UINT16_MAX) {
    throw Error(Errc::failed,
                fmt::format("a .npy header of {} bytes does not fit the {} before its data", needed, total));
  }
  dictionary.resize(total - kPrefix - 1, ' ');
  dictionary.push_back('\n');
  const std::size_t length = dictionary.size();
  std::string header(kMagic);
  header.append({'\1', '\0', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)});
  return header + dictionary;
}

std::string normalised_descr(std::string_view text) {
  std::string result;
  bool within = false;
  for (const char c : text) {
    if (c == '\'' || c == '"') {
      within = !within;
      result.push_back('\'');
    } else if (within ? !(c == '|' && result.back() == '\'') : c != ' ' && c != '\n' && c != '\t') {
      result.push_back(c);
    }
  }
  return result;
}

}  // namespace internal
}  // namespace reef::vector
