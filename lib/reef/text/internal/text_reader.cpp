#include "reef/text/internal/text_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr std::size_t kMarkBytes = 3;

/// How many bytes at the end of `bytes` may be the start of a UTF-8 character that goes on.
std::size_t cut_character(std::string_view bytes) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if (byte < 0x80) return 0;
    if (byte < 0xC0) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (!fd_) throw_errno("open", io::shown(path));
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) throw_errno("stat", io::shown(path));
  if (!S_ISREG(status.st_mode)) {
    throw Error(Errc::failed, fmt::format("{} is not a regular file", io::shown(path)));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

std::size_t InputFile::read(std::uint64_t offset, char* into, std::size_t count) const {
  std::size_t done = 0;
  while (done < count) {
    const ssize_t n = ::pread(fd_.get(), into + done, count - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", io::shown(path_));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::string InputFile::head(std::size_t count) const {
  std::string out(static_cast<std::size_t>(std::min<std::uint64_t>(count, size_)), '\0');
  out.resize(read(0, out.data(), out.size()));
  return out;
}

Encoding encoding_of(std::string_view head, std::size_t& mark_bytes) {
  mark_bytes = head.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  if (mark_bytes > 0) return Encoding::utf8;
  mark_bytes = 2;
  if (head.starts_with("\xFF\xFE")) return Encoding::utf16_little;
  if (head.starts_with("\xFE\xFF")) return Encoding::utf16_big;
  mark_bytes = 0;
  return Encoding::utf8;
}

void Decoder::decode(std::string_view bytes, bool last, std::string& out) {
  std::string joined;
  if (!held_.empty()) {
    joined = std::move(held_);
    joined += bytes;
    bytes = joined;
  }
  held_.clear();
  if (encoding_ != Encoding::utf8) return decode_utf16(bytes, last, out);
  const std::string_view rest = last ? std::string_view() : bytes.substr(bytes.size() - cut_character(bytes));
  bytes.remove_suffix(rest.size());
  if (is_valid_utf8(bytes)) {
    out += bytes;
  } else {
    out += to_valid_utf8(bytes);
  }
  held_ = rest;
}

void Decoder::decode_utf16(std::string_view bytes, bool last, std::string& out) {
  const std::size_t low = encoding_ == Encoding::utf16_little ? 0 : 1;
  constexpr char32_t kReplacement = 0xFFFD;
  std::size_t at = 0;
  for (; at + 1 < bytes.size(); at += 2) {
    const char32_t unit = static_cast<unsigned char>(bytes[at + low]) |
                          (static_cast<char32_t>(static_cast<unsigned char>(bytes[at + 1 - low])) << 8);
    const bool is_low = unit >= 0xDC00 && unit < 0xE000;
    if (high_surrogate_ != 0) {
      const char32_t high = high_surrogate_;
      high_surrogate_ = 0;
      append_utf8(out, is_low ? 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00) : kReplacement);
      if (is_low) continue;
    }
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_surrogate_ = unit;
    } else {
      append_utf8(out, unit);  // a low surrogate alone becomes U+FFFD there
    }
  }
  held_ = bytes.substr(at);
  if (last && (high_surrogate_ != 0 || !held_.empty())) append_utf8(out, kReplacement);
}

std::string decode_whole(std::string_view bytes) {
  std::size_t mark = 0;
  Decoder decoder(encoding_of(bytes, mark));
  std::string out;
  decoder.decode(bytes.substr(mark), true, out);
  return out;
}

TextReader::TextReader(const InputFile& file) : file_(file), decoder_(Encoding::utf8) {
  std::size_t mark = 0;
  decoder_ = Decoder(encoding_of(file.head(kMarkBytes), mark));
  offset_ = mark;
  raw_.resize(kReadBytes);
}

bool TextReader::fill(std::string& out, std::size_t target) {
  while (out.size() < target) {
    const std::size_t count = file_.read(offset_, raw_.data(), raw_.size());
    offset_ += count;
    const bool last = count < raw_.size();
    decoder_.decode(std::string_view(raw_).substr(0, count), last, out);
    if (last) return false;
  }
  return true;
}

}  // namespace reef::text::internal
