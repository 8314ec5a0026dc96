#include "reef/core/log.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <iterator>
#include <string>

#include "reef/core/table.h"

namespace reef {
namespace {

struct LogState {
  std::string program = "reef";
  std::atomic<Verbosity> verbosity = Verbosity::normal;
  std::atomic<bool> color = false;
  std::atomic<void (*)()> hook = nullptr;
};

LogState& state() {
  // Never destroyed: a thread that ends after main() may still have something to say.
  static LogState& instance = *new LogState;
  return instance;
}

}  // namespace

void configure_log(std::string_view program, Verbosity verbosity) {
  state().program = program;
  state().verbosity = verbosity;
}

Verbosity log_verbosity() { return state().verbosity; }

void color_log(bool on) { state().color = on; }

std::string severity_word(std::string_view word) {
  if (!state().color) return std::string(word);
  const int code = word == "error" ? 31 : word == "warning" ? 33 : 36;  // red, yellow, cyan
  return fmt::format("\x1b[1;{}m{}\x1b[0m", code, word);
}

void on_log_line(void (*hook)()) { state().hook = hook; }

namespace internal {

void log_line(Verbosity needed, std::string_view severity, fmt::string_view format, fmt::format_args args) {
  if (log_verbosity() < needed) return;
  // Messages quote paths and titles, which must not steer the terminal that shows them.
  const std::string text = printable(fmt::vformat(format, args), /*keep_newlines=*/true);
  const std::string start = severity.empty() ? "" : severity_word(severity) + ": ";
  const std::string line = fmt::format("{}: {}{}\n", state().program, start, text);
  if (auto* hook = state().hook.load()) hook();
  // One call, so that lines of several threads or processes do not mix. A stderr that cannot be
  // written leaves nobody to tell.
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace internal
}  // namespace reef
