#include "reef/text/internal/line_file.h"

#include <cstring>

namespace reef::text::internal {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

}  // namespace

LineFile::LineFile(const InputFile& file) : file_(file), buffer_(kBufferBytes, '\0') {}

void LineFile::refill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  const std::size_t count = file_.read(offset_, buffer_.data() + end_, buffer_.size() - end_);
  offset_ += count;
  end_ += count;
}

std::optional<LineFile::Line> LineFile::next() {
  long_ = {};
  for (bool refilled = false;; refilled = true) {
    const std::string_view have(buffer_.data() + begin_, end_ - begin_);
    const std::size_t length = have.find('\n');
    if (length != std::string_view::npos) {
      begin_ += length + 1;
      return Line{have.substr(0, length), ++number_, length, false};
    }
    if (refilled && have.size() == buffer_.size()) return long_line();
    if (refilled) {
      if (have.empty()) return std::nullopt;
      begin_ = end_;
      return Line{have, ++number_, have.size(), false};
    }
    refill();
  }
}

LineFile::Line LineFile::long_line() {
  const std::uint64_t start = offset_ - end_;
  std::uint64_t line_end = offset_;
  for (;;) {
    const std::size_t count = file_.read(line_end, buffer_.data(), buffer_.size());
    const std::size_t at = std::string_view(buffer_.data(), count).find('\n');
    const bool has_end = at != std::string_view::npos;
    line_end += has_end ? at : count;
    offset_ = has_end ? line_end + 1 : line_end;
    if (has_end || count < buffer_.size()) break;
  }
  begin_ = end_ = 0;
  Line line{{}, ++number_, line_end - start, line_end - start > kLongest};
  if (!line.too_long) {
    long_.resize(static_cast<std::size_t>(line.length));
    long_.resize(file_.read(start, long_.data(), long_.size()));
    line.bytes = long_;
  }
  return line;
}

}  // namespace reef::text::internal
