#pragma once

#include <fstream>
#include <optional>
#include <string>

namespace reef::tool {

/// Questions of a --batch file, {"id","text"[,"persona"]} a line, "-" for stdin. Blank lines are
/// skipped; a line that cannot be used has a fault() in place of a question.
class BatchLines {
 public:
  /// Throws Error{not_found} when there is no such file.
  explicit BatchLines(const std::string& file);
  bool next();
  std::size_t number() const { return number_; }
  const std::string& fault() const { return fault_; }
  const std::string& id() const { return id_; }
  const std::string& text() const { return text_; }
  const std::optional<std::string>& persona() const { return persona_; }

 private:
  void parse(const std::string& line);

  std::ifstream file_;
  std::istream* in_;
  std::size_t number_ = 0;
  std::string fault_, id_, text_;
  std::optional<std::string> persona_;
};

}  // namespace reef::tool
