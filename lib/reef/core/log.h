#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace reef {

/// How much a command says on stderr: -q, nothing, -v, -vv.
enum class Verbosity { quiet = -1, normal = 0, steps = 1, detail = 2 };

/// Set once by cli::run before any work; `program` stands before each line.
void configure_log(std::string_view program, Verbosity verbosity);
Verbosity log_verbosity();

/// Whether severity_word() colours; off until it is set.
void color_log(bool on);
/// "error", "warning" or "hint" as it stands in a line on stderr: in its colour, if colours are on.
std::string severity_word(std::string_view word);

/// Called before a line of talk is printed, so that a progress bar can take itself off the screen.
void on_log_line(void (*hook)());

namespace internal {
void log_line(Verbosity needed, std::string_view severity, fmt::string_view format, fmt::format_args args);
}

/// "reef-index: warning: …": something that the operator should know though the run goes on.
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  internal::log_line(Verbosity::normal, "warning", format, fmt::make_format_args(args...));
}
/// One line about what changed; silent with -q.
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  internal::log_line(Verbosity::normal, "", format, fmt::make_format_args(args...));
}
/// Steps, shown with -v.
template <typename... Args>
void log_step(fmt::format_string<Args...> format, Args&&... args) {
  internal::log_line(Verbosity::steps, "", format, fmt::make_format_args(args...));
}
/// Detail, shown with -vv.
template <typename... Args>
void log_detail(fmt::format_string<Args...> format, Args&&... args) {
  internal::log_line(Verbosity::detail, "", format, fmt::make_format_args(args...));
}

}  // namespace reef
