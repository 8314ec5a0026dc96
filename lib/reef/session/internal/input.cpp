#include "reef/session/internal/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/file.h"

namespace reef::session::internal {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::string_view kBlanks = " \t\r\n";

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

/// Finds the end of a JSON value that arrives in pieces, without a look at what is in it.
class ValueEnd {
 public:
  /// How many of the bytes belong to the value; all of them when it goes on.
  std::size_t scan(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const char c = bytes[i];
      if (in_string_) {
        if (c == '\n') {  // none stands in a JSON string
          is_broken_ = true;
          return end(i);
        }
        if (is_escaped_)
          is_escaped_ = false;
        else if (c == '\\')
          is_escaped_ = true;
        else if (c == '"')
          in_string_ = false;
        continue;
      }
      if (c == '"') {
        in_string_ = true;
      } else if (c == '{' || c == '[') {
        ++depth_;
      } else if (c == '}' || c == ']') {
        if (depth_ == 0) return end(i);  // of the array around it
        if (--depth_ == 0) return end(i + 1);
      } else if (depth_ == 0 && (c == ',' || is_blank(c))) {
        return end(i);
      }
    }
    return bytes.size();
  }
  bool has_ended() const { return has_ended_; }
  bool is_open() const { return depth_ > 0 || in_string_; }
  bool is_broken() const { return is_broken_; }

 private:
  std::size_t end(std::size_t at) {
    has_ended_ = true;
    return at;
  }

  std::uint64_t depth_ = 0;
  bool in_string_ = false, is_escaped_ = false, has_ended_ = false, is_broken_ = false;
};

/// What is no text in UTF-8, by its first bytes.
struct Foreign {
  std::string_view begin;
  const char* what;
  const char* hint;
};
using namespace std::string_view_literals;
constexpr std::array<Foreign, 8> kForeign{{
    {"\xFF\xFE"sv, "UTF-16", "iconv -f UTF-16 -t UTF-8 makes UTF-8 of it"},
    {"\xFE\xFF"sv, "UTF-16", "iconv -f UTF-16 -t UTF-8 makes UTF-8 of it"},
    {"{\0"sv, "UTF-16", "iconv -f UTF-16LE -t UTF-8 makes UTF-8 of it"},
    {"[\0"sv, "UTF-16", "iconv -f UTF-16LE -t UTF-8 makes UTF-8 of it"},
    {"\0{"sv, "UTF-16", "iconv -f UTF-16BE -t UTF-8 makes UTF-8 of it"},
    {"\0["sv, "UTF-16", "iconv -f UTF-16BE -t UTF-8 makes UTF-8 of it"},
    {"\x1F\x8B"sv, "compressed", "gunzip it first"},
    {"PK\x03\x04"sv, "a zip archive", "unzip it first; of ChatGPT's export, conversations.json is what to take in"},
}};

}  // namespace

Input::Input(const std::filesystem::path& path) : buffer_(kBufferBytes, '\0') {
  const bool is_stdin = path == "-";
  name_ = is_stdin ? "stdin" : io::shown(path);
  if (!is_stdin) own_ = io::open_file(path, O_RDONLY);
  fd_ = is_stdin ? STDIN_FILENO : own_.get();
  struct stat status {};
  if (::fstat(fd_, &status) != 0) throw_errno("stat", name_);
  if (S_ISDIR(status.st_mode)) throw Error(Errc::usage, fmt::format("{} is a folder", name_), "name the files in it");
  if (S_ISREG(status.st_mode)) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    const auto since = std::chrono::seconds(status.st_mtim.tv_sec) + std::chrono::nanoseconds(status.st_mtim.tv_nsec);
    time_ = to_database_time(Time(std::chrono::floor<std::chrono::milliseconds>(since)));
  } else {
    time_ = to_database_time(now());
  }
}

Input Input::of_text(std::string text) {
  Input input;
  input.name_ = "text";
  input.time_ = "2026-01-01 00:00:00.000";
  input.size_ = input.bytes_read_ = input.end_ = text.size();
  input.buffer_ = std::move(text);
  input.is_at_end_ = true;
  return input;
}

bool Input::refill() {
  if (is_at_end_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  for (;;) {
    if (on_pause_) wait();
    check_interrupt();
    const ssize_t count = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read", name_);
    if (count == 0) is_at_end_ = true;
    end_ += static_cast<std::size_t>(count);
    bytes_read_ += static_cast<std::uint64_t>(count);
    return count > 0;
  }
}

void Input::wait() {
  constexpr std::chrono::seconds kLongestUntold{1};  // where a little comes again and again
  constexpr int kPauseMilliseconds = 100;
  const bool is_due = std::chrono::steady_clock::now() - paused_ > kLongestUntold;
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, is_due ? 0 : kPauseMilliseconds) != 0) return;
  on_pause_();
  paused_ = std::chrono::steady_clock::now();
}

void Input::require_text() {
  constexpr std::size_t kLongestBegin = 4;
  while (have().size() < kLongestBegin && refill()) {
  }
  for (const Foreign& foreign : kForeign)
    if (have().starts_with(foreign.begin))
      throw Error(Errc::usage, fmt::format("{} is {}", name_, foreign.what), foreign.hint);
}

void Input::skip_mark() {
  if (has_begun_) return;
  has_begun_ = true;
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  while (have().size() < kMark.size() && refill()) {
  }
  if (have().starts_with(kMark)) begin_ += kMark.size();
}

void Input::take(std::size_t count) {
  const std::string_view taken = have().substr(0, count);
  line_ += static_cast<std::uint64_t>(std::count(taken.begin(), taken.end(), '\n'));
  const std::size_t feed = taken.rfind('\n');
  column_ = feed == std::string_view::npos ? column_ + count : count - feed - 1;
  begin_ += count;
}

bool Input::is_document() {
  skip_mark();
  const auto first_of = [this](std::size_t from) {
    std::size_t at;
    while ((at = have().find_first_not_of(kBlanks, from)) == std::string_view::npos && end_ < kBufferBytes &&
           refill()) {
    }
    return at;
  };
  const std::size_t start = first_of(0);
  if (start == std::string_view::npos) return false;
  if (have()[start] != '{') return have()[start] == '[';
  // An object that ends on its line is one of many; else its end and the next line tell whether it was cut.
  std::size_t end;
  while ((end = have().find('\n', start)) == std::string_view::npos && end_ < kBufferBytes && refill()) {
  }
  if (end == std::string_view::npos) return false;
  const std::size_t last = have().find_last_not_of(kBlanks, end);
  if (have()[last] == '}') return false;
  ValueEnd value;
  value.scan(have().substr(start, end + 1 - start));
  if (value.is_broken()) return false;
  const bool goes_on = std::string_view("{[,:").find(have()[last]) != std::string_view::npos;
  const std::size_t next = first_of(end);
  if (next == std::string_view::npos) return false;
  if (have()[next] == '{' && have()[next - 1] == '\n') return false;  // not indented: the next one of many
  return goes_on || std::string_view(",:]}").find(have()[next]) != std::string_view::npos;
}

std::optional<Input::Piece> Input::next_line() {
  skip_mark();
  const std::uint64_t line = line_, offset = bytes_read_ - have().size();
  std::size_t scanned = 0;
  bool too_long = false;
  for (;;) {
    const std::size_t at = have().find('\n', scanned);
    if (at != std::string_view::npos) {
      const std::string_view bytes = have().substr(0, at);
      too_long |= at > kLongest;
      begin_ += at + 1;
      ++line_;
      return Piece{too_long ? std::string_view{} : bytes, line, too_long, false, offset};
    }
    scanned = have().size();
    if (scanned > kLongest) {
      too_long = true;
      begin_ = end_;  // only its end is of interest
      scanned = 0;
    }
    if (!refill()) break;
  }
  if (have().empty() && !too_long) return std::nullopt;
  const std::string_view bytes = have();
  too_long |= bytes.size() > kLongest;
  begin_ = end_;
  return Piece{too_long ? std::string_view{} : bytes, line, too_long, false, offset};
}

std::optional<Input::Piece> Input::next_value() {
  skip_mark();
  if (broken_from_ && !skip_broken()) return std::nullopt;
  for (;;) {
    std::size_t skipped = 0;
    while (skipped < have().size()) {
      const char c = have()[skipped];
      if (c == '[' && !is_in_array_)
        is_in_array_ = true, ++arrays_;
      else if (c == ']' && is_in_array_)
        is_in_array_ = false;
      else if (!is_blank(c) && c != ',')
        break;
      ++skipped;
    }
    take(skipped);
    if (!have().empty()) break;
    if (!refill()) {
      if (!is_in_array_) return std::nullopt;
      is_in_array_ = false;
      return Piece{{}, line_, false, true};
    }
  }
  const std::uint64_t line = line_, array = is_in_array_ ? arrays_ : 0;
  const std::size_t column = column_;
  ValueEnd value;
  std::size_t scanned = 0;
  bool too_long = false;
  for (;;) {
    scanned += value.scan(have().substr(scanned));
    if (value.has_ended()) break;
    if (scanned > kLongest) {
      too_long = true;
      take(scanned);
      scanned = 0;
    }
    if (!refill()) break;
  }
  // A bracket that nothing opened: it is a value of its own, which cannot be read.
  if (scanned == 0 && !too_long && !have().empty()) scanned = 1;
  const std::string_view bytes = have().substr(0, scanned);
  too_long |= scanned > kLongest;
  take(scanned);
  const bool is_cut = !value.has_ended() && value.is_open();
  if (is_cut) is_in_array_ = false;  // told once, not for the array around it again
  if (value.is_broken()) broken_from_ = column;
  return Piece{too_long ? std::string_view{} : bytes, line, too_long, is_cut, 0, array};
}

bool Input::skip_broken() {
  for (;;) {
    std::size_t at = 0;
    while ((at = have().find('\n')) == std::string_view::npos) {
      take(have().size());
      if (refill()) continue;
      is_in_array_ = false;
      broken_from_.reset();
      return false;
    }
    take(at + 1);
    while ((at = have().find_first_not_of(" \t\r")) == std::string_view::npos && have().size() <= *broken_from_ &&
           refill()) {
    }
    if (at == std::string_view::npos || have()[at] != '{' || at > *broken_from_) continue;
    broken_from_.reset();
    return true;
  }
}

}  // namespace reef::session::internal
