#pragma once

#include <fstream>
#include <istream>
#include <optional>
#include <string>

namespace reef::tool {

/// For a stream that gives no more: throws Error{failed} when reading failed, rather than came to the
/// end. `name` is its file, "-" for std::cin.
void require_end(const std::istream& in, const std::string& name);

/// All of standard input, 1 MiB at most; `what` it is, for Error{usage} when it is more.
std::string read_standard_input(const std::string& what);

/// Questions of a --batch file, {"id","text"[,"persona"]} a line, "-" for stdin. Blank lines are
/// skipped; a line that cannot be used has a fault() in place of a question.
class BatchLines {
 public:
  /// Throws Error{not_found} when there is no such file.
  explicit BatchLines(const std::string& file);
  /// Throws Error{failed} when the file cannot be read to its end, or has a line of more than 64 MiB.
  bool next();
  std::size_t number() const { return number_; }
  const std::string& fault() const { return fault_; }
  const std::string& id() const { return id_; }
  const std::string& text() const { return text_; }
  const std::optional<std::string>& persona() const { return persona_; }

 private:
  bool read_line(std::string& line);
  void parse(const std::string& line);

  std::string name_;
  std::ifstream file_;
  std::istream* in_;
  std::size_t number_ = 0;
  std::string fault_, id_, text_;
  std::optional<std::string> persona_;
};

}  // namespace reef::tool
