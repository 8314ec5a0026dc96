#include "reef/model/internal/gguf_cursor.h"

#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/model/internal/json_scanner.h"

namespace reef::model::internal {

std::uint64_t GgufCursor::number(std::size_t width, const char* what) {
  if (width > left()) fail_cut(position_, width, what);
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;) value = value << 8 | bytes_[position_ + i];
  position_ += width;
  return value;
}

std::string_view GgufCursor::string(const char* what) {
  const std::size_t at = position_;
  const std::uint64_t length = u64(what);
  if (length > left()) fail_cut(at, length, what);
  return take(length, what);
}

std::string_view GgufCursor::take(std::uint64_t count, const char* what) {
  if (count > left()) fail_cut(position_, count, what);
  const std::string_view bytes(reinterpret_cast<const char*>(bytes_.data()) + position_, count);
  position_ += count;
  return bytes;
}

void GgufCursor::require_room(std::size_t position, std::uint64_t count, std::uint64_t each,
                              const std::string& what) const {
  if (count <= left() / each) return;
  const char* rest = is_at_limit()                 ? "the limit of a header leaves"
                     : bytes_.size() < file_bytes_ ? "were read after them"
                                                   : "follow";
  fail(position, fmt::format("{} {} do not fit in the {} bytes that {}", count, what, left(), rest));
}

void GgufCursor::fail(std::uint64_t position, const std::string& rule, const char* hint) const {
  const std::string subject = *subject_ == '\0' ? "" : fmt::format(" ({} {})", subject_, legible(subject_name_));
  throw Error(Errc::corrupt, fmt::format("{}: byte {}{}: {}", file_, position, subject, rule),
              hint != nullptr ? hint : "the file is damaged or incomplete; get it again from its source");
}

void GgufCursor::fail_cut(std::size_t position, std::uint64_t count, const char* what) const {
  const char* end = is_at_limit()                 ? "limit of a header"
                    : bytes_.size() < file_bytes_ ? "part of the file that was read"
                                                  : "end of the file";
  fail(position, fmt::format("{} of {} bytes reaches past the {} ({} bytes)", what, count, end, bytes_.size()));
}

}  // namespace reef::model::internal
