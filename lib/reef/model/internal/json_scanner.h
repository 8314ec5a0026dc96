#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::model::internal {

/// A name that stands in a file, cut and made printable: it may be megabytes of control characters.
std::string legible(std::string_view name);

/// Where a name stood in the text, so that a duplicate found by sorting can be reported by byte.
struct Positioned {
  std::string_view name;
  std::size_t position;
};

/// The second occurrence of a name that occurs twice; the earliest such in the text. Sorts `names`:
/// with hashing, chosen names could make it quadratic.
std::optional<Positioned> find_duplicate(std::vector<Positioned>& names);

/// A strict reader of RFC 8259 text that comes from strangers: the caller pulls the values that it
/// expects, anything else is Error{corrupt} naming file, byte and rule. No tree is built, so memory
/// and time stay linear in the text, and only skip_value() nests (to kMaxDepth).
class JsonScanner {
 public:
  static constexpr int kMaxDepth = 64;

  /// `text` must outlive the scanner; `offset` is where it begins in the file, for messages.
  JsonScanner(std::string_view text, std::string file, std::uint64_t offset)
      : text_(text), file_(std::move(file)), offset_(offset) {}

  /// What messages name beside the byte: a "tensor" called "wte.weight". Empty: nothing.
  void set_subject(const char* what, std::string_view name) {
    subject_ = what;
    subject_name_ = name;
  }

  /// Reads `{"key": value, …}`: on_key(key, position of the key) must read the value.
  template <class OnKey>
  void object(const char* what, OnKey on_key) {
    expect('{', what);
    if (accept('}')) return;
    do {
      skip_space();
      const std::size_t at = position_;
      std::string key = string("a key");
      expect(':', "':' after a key");
      on_key(std::move(key), at);
    } while (accept(','));
    expect('}', "',' or '}'");
  }

  /// Reads `[value, …]`: on_item() must read one value.
  template <class OnItem>
  void array(const char* what, OnItem on_item) {
    expect('[', what);
    if (accept(']')) return;
    do {
      on_item();
    } while (accept(','));
    expect(']', "',' or ']'");
  }

  /// A string as UTF-8; `what` names it in the message when there is something else.
  std::string string(const char* what);
  /// An integer from 0 to 2^64-1: no sign, no fraction, no exponent, no leading zero.
  std::uint64_t unsigned_integer(const char* what);
  /// The text of any number.
  std::string_view number(const char* what);
  /// Any value.
  void skip_value(int depth = 0);
  /// The next character that is no white space; '\0' at the end of the text.
  char peek();
  /// Only white space may follow.
  void expect_end();

  std::size_t position() const { return position_; }
  [[noreturn]] void fail(std::size_t position, const std::string& rule) const;

 private:
  void skip_space();
  bool accept(char wanted);
  void expect(char wanted, const char* what);
  void escape(std::string& out);
  unsigned hex4();
  [[noreturn]] void fail_expected(const char* what) const;

  std::string_view text_;
  std::string file_;
  std::uint64_t offset_;
  const char* subject_ = "";
  std::string subject_name_;
  std::size_t position_ = 0;
};

}  // namespace reef::model::internal
