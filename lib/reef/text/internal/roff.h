#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reef/text/internal/strings.h"

namespace reef::text::internal {

/// The lines of a roff source, as far as manual pages use the language: comments, definitions of
/// macros and the branches that a terminal does not take are gone, strings and escapes are text.
class RoffSource {
 public:
  struct Line {
    std::string macro;              ///< without its dot; empty for a line of text
    std::vector<std::string> args;  ///< of the macro
    std::string text;
    bool glued = false;  ///< the next line follows without a space ("\c")
  };

  explicit RoffSource(std::string_view source) : lines_(source) {}
  std::optional<Line> next();

  /// Escapes as text; "\(bu" is "•", fonts and motions vanish.
  std::string unescape(std::string_view text, bool* glued = nullptr) const;

 private:
  std::optional<std::string_view> raw_line();
  Line parse(std::string_view raw) const;
  std::vector<std::string> arguments(std::string_view text) const;
  std::string_view condition(std::string_view rest, bool is_else);
  void skip_block(std::string_view first);
  void skip_definition(std::string_view end_macro);
  void define_string(std::string_view rest);
  std::string_view name_at(std::string_view text, std::size_t& at) const;
  void escape(std::string_view text, std::size_t& at, std::string& out, bool* glued) const;

  Lines lines_;
  std::string joined_;
  std::optional<std::string_view> pending_;  ///< the rest of a condition's line
  std::map<std::string, std::string, std::less<>> strings_;
  bool last_condition_ = false;
};

/// The character that roff calls `name` ("bu", "u00e9"); empty if there is none.
std::string roff_character(std::string_view name);

/// The words of a line of mdoc(7) macros as running text.
class MdocWords {
 public:
  std::string name;  ///< what .Nm stands for

  /// `words`: a macro and its arguments, some of which are macros.
  std::string render(const std::vector<std::string>& words);

 private:
  void word(std::string_view text);
  void enclosed(const std::vector<std::string>& words, std::size_t& at, std::string_view open, std::string_view close);
  void macro(const std::vector<std::string>& words, std::size_t& at);
  void arguments(const std::vector<std::string>& words, std::size_t& at, std::string_view prefix,
                 std::string_view absent);

  std::string out_;
  bool attach_ = true;
  int depth_ = 0;  ///< of enclosures in one line
};

/// Whether mdoc knows `name` as a macro that may stand inside of a line.
bool is_mdoc_word_macro(std::string_view name);

}  // namespace reef::text::internal
