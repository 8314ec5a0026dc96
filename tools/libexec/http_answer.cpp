#include "http_answer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::http {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxMessageBytes = 4096;
constexpr std::uint64_t kMaxEtagBytes = 4096;
constexpr std::size_t kMaxHeaders = 64, kMaxHeaderBytes = 4096;

std::string in_small(std::string_view text) {
  std::string small(text);
  for (char& c : small)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return small;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// Strong ETags alone tell that bytes are equal ("W/" marks a weak one).
bool is_strong_etag(std::string_view etag) {
  return etag.size() > 2 && etag.starts_with('"') && etag.ends_with('"') && etag.size() <= kMaxEtagBytes &&
         etag.find_first_of("\r\n") == std::string_view::npos;
}

std::optional<std::uint64_t> number(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc{} && end == digits.data() + digits.size() ? std::optional(value) : std::nullopt;
}

struct ContentRange {
  std::optional<std::uint64_t> begin, total;
};

/// "bytes 100-199/300", "bytes 100-199/*", "bytes */300".
ContentRange parse_content_range(std::string_view text) {
  ContentRange range;
  constexpr std::string_view kUnit = "bytes ";
  const std::size_t slash = text.find('/');
  if (text.size() < kUnit.size() || in_small(text.substr(0, kUnit.size())) != kUnit || slash == std::string_view::npos)
    return range;
  const std::string_view part = text.substr(kUnit.size(), slash - kUnit.size());
  range.begin = number(part.substr(0, part.find('-')));
  range.total = number(text.substr(slash + 1));
  return range;
}

}  // namespace

Answer::Answer(const nlohmann::json& request)
    : file_(request.at("response_file").get<std::string>()),
      limit_(request.at("max_response_bytes").get<std::uint64_t>()),
      is_download_(request.contains("download")) {
  fd_ = io::open_file(file_, O_WRONLY | O_CREAT | O_CLOEXEC | (is_download_ ? 0 : O_TRUNC), is_download_ ? 0640 : 0600);
  if (!is_download_) return;
  const nlohmann::json& download = request["download"];
  etag_file_ = download.at("etag_file").get<std::string>();
  if (download.contains("bytes")) wanted_bytes_ = download["bytes"].get<std::uint64_t>();
  size_ = download.at("from").get<std::uint64_t>();
  if (size_ != io::file_size(fd_.get(), file_) && size_ != 0)
    throw Error(Errc::usage, fmt::format("{} has not {} bytes", io::shown(file_), size_));
  if (size_ == 0) return;
  if_range_ = trimmed(io::read_file(etag_file_, kMaxEtagBytes + 2));
  if (!is_strong_etag(if_range_)) throw Error(Errc::usage, fmt::format("{} holds no ETag", io::shown(etag_file_)));
  range_ = fmt::format("{}-", size_);
  if (::lseek(fd_.get(), 0, SEEK_END) < 0) throw_errno("seek", io::shown(file_));
}

void Answer::begin_attempt() {
  has_begun_ = goes_to_file_ = false;
  message_.clear();
}

void Answer::header(std::string_view line) {
  if (line.starts_with("HTTP/")) {  // of this answer, not of one before it ("100 Continue")
    headers_.clear();
    etag_.clear();
    content_range_.clear();
    length_.reset();
    const std::size_t blank = std::min(line.find(' '), line.size() - 1);
    status_ = static_cast<unsigned>(number(trimmed(line.substr(blank, 4))).value_or(0));
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = in_small(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "etag") etag_ = value;
  if (name == "content-range") content_range_ = value;
  if (name == "content-length") length_ = number(value);
  if (line.size() <= kMaxHeaderBytes && headers_.size() < kMaxHeaders) headers_.insert_or_assign(name, value);
}

void Answer::fail(std::string kind, std::string error) {
  kind_ = std::move(kind);
  error_ = std::move(error);
}

bool Answer::take(std::string_view bytes) {
  try {
    if (!has_begun_ && !begin()) return false;
    if (goes_to_file_) return keep(bytes);
    message_ += bytes.substr(0, kMaxMessageBytes - std::min(kMaxMessageBytes, message_.size()));
    return true;
  } catch (const std::exception& e) {  // must not pass through C
    fail("local", e.what());
    return false;
  }
}

void Answer::finish() {
  try {
    if (!has_begun_ && kind_.empty()) begin();
  } catch (const std::exception& e) {
    fail("local", e.what());
  }
}

bool Answer::begin() {
  has_begun_ = true;
  if (is_download_) return begin_file();
  goes_to_file_ = true;
  return true;
}

bool Answer::begin_file() {
  const ContentRange range = parse_content_range(content_range_);
  if (status_ == 416) total_bytes_ = range.total;
  if (status_ != 200 && status_ != 206) return true;  // what it says goes into message()
  if (status_ == 206) {
    total_bytes_ = range.total;
    if (range_.empty() || range.begin != size_ || etag_ != if_range_) {
      fail("changed", "the server sent a part of another file than the one that is here");
      return false;
    }
  } else {
    total_bytes_ = length_;
  }
  if (wanted_bytes_ && total_bytes_ && *total_bytes_ != *wanted_bytes_) {
    fail("size", fmt::format("the server's file has {} bytes, expected are {}", *total_bytes_, *wanted_bytes_));
    return false;
  }
  if (status_ == 200) start_anew();
  goes_to_file_ = true;
  return true;
}

/// In this order: bytes that are here never stand beside the ETag of another file, whenever the power fails.
void Answer::start_anew() {
  if (io::file_size(fd_.get(), file_) > 0) {
    if (::ftruncate(fd_.get(), 0) != 0) throw_errno("truncate", io::shown(file_));
    if (::lseek(fd_.get(), 0, SEEK_SET) < 0) throw_errno("seek", io::shown(file_));
    io::sync_file(fd_.get(), file_);
  }
  size_ = 0;
  if (is_strong_etag(etag_)) {
    io::replace_file(etag_file_, etag_ + "\n");
  } else {
    fs::remove(etag_file_);
  }
}

bool Answer::keep(std::string_view bytes) {
  if (bytes.size() > limit_ - std::min(limit_, size_)) {
    fail("too_large", "the answer is longer than allowed");
    return false;
  }
  io::write_all(fd_.get(), bytes, file_);
  size_ += bytes.size();
  received_bytes_ += bytes.size();
  return true;
}

}  // namespace reef::http
