#include "reef/cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/core/units.h"

namespace reef::cli {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);
bool on_screen = false;
std::string shown_line;

void write_stderr(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

void take_off() {
  if (!on_screen) return;
  write_stderr("\r\x1b[K");
  std::fflush(stderr);
  on_screen = false;
  shown_line.clear();
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

TerminalProgress::TerminalProgress() { on_log_line(&take_off); }

void TerminalProgress::begin(std::string_view stage, std::uint64_t total, ProgressUnit unit) {
  stage_ = stage;
  total_ = total;
  done_ = 0;
  unit_ = unit;
  started_ = std::chrono::steady_clock::now();
  drawn_ = {};
  draw();
}

void TerminalProgress::advance(std::uint64_t count) {
  done_ += count;
  draw();
}

void TerminalProgress::end() { take_off(); }

void TerminalProgress::draw() {
  const auto time = std::chrono::steady_clock::now();
  if (on_screen && time - drawn_ < kInterval) return;
  const std::string text = ellipsis(line(), terminal_width() - 1);
  drawn_ = time;
  if (on_screen && text == shown_line) return;
  write_stderr("\r" + text + "\x1b[K");
  std::fflush(stderr);
  on_screen = true;
  shown_line = text;
}

std::string TerminalProgress::line() const {
  const bool bytes = unit_ == ProgressUnit::bytes;
  const auto amount = [&](std::uint64_t n) { return bytes ? format_size(n) : format_count(n); };
  if (total_ == 0) return fmt::format("{} {}", stage_, amount(done_));
  const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
  std::string text = fmt::format("{} {}/{} {:.0f}%", stage_, amount(done_), amount(total_), 100 * share);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  if (seconds > 1 && done_ > 0) {
    const double rate = static_cast<double>(done_) / seconds;
    text +=
        bytes ? fmt::format(" {}/s", format_size(static_cast<std::uint64_t>(rate))) : fmt::format(" {:.0f}/s", rate);
    const double left = static_cast<double>(total_ - std::min(done_, total_)) / rate;
    text +=
        fmt::format(", {} left", format_duration(std::chrono::milliseconds(static_cast<std::int64_t>(1000 * left))));
  }
  return text;
}

}  // namespace reef::cli
