#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reef::session::internal {

/// Deeper JSON is refused: what is kept of it is written and read by recursive programs, too.
inline constexpr std::size_t kDeepestJson = 100;

/// `text` as a JSON string, with its quotes.
void append_json_string(std::string& out, std::string_view text);

/// JSON events written as one line without blanks: keys in their order, numbers digit by digit as they came.
class JsonWriter {
 public:
  void scalar(std::string_view literal) {
    begin_value();
    out_ += literal;
  }
  void string(std::string_view text) {
    begin_value();
    append_json_string(out_, text);
  }
  void key(std::string_view name);
  void open(char bracket);
  void close(char bracket);
  std::size_t depth() const { return first_.size(); }
  std::string take() { return std::exchange(out_, {}); }

 private:
  void begin_value();

  std::string out_;
  std::vector<bool> first_;  ///< of each open bracket: nothing stands in it yet
  bool after_key_ = false;
};

/// Any JSON text as JsonWriter writes it; nullopt when it is none, or too deep.
std::optional<std::string> compact_json(std::string_view text);

/// The reason within a parser's message.
std::string json_fault(std::string_view what, std::size_t position);

}  // namespace reef::session::internal
