#include "http_body.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::http {

Body::Body(const nlohmann::json& request) : is_there_(request.contains("body_file")) {
  sha256_ = request.value("body_sha256", "");
  if (is_there_) file_ = request["body_file"].get<std::string>();
  if (is_there_ && request.contains("body_part")) {
    offset_ = request["body_part"].at("offset").get<std::uint64_t>();
    size_ = request["body_part"].at("bytes").get<std::uint64_t>();
    fd_ = io::open_file(file_, O_RDONLY);
    const std::uint64_t all = io::file_size(fd_.get(), file_);
    if (offset_ > all || size_ > all - offset_ || sha256_.empty())
      throw Error(Errc::usage, fmt::format("{} has no such part, or its digest is missing", io::shown(file_)));
    return;
  }
  if (is_there_) text_ = io::read_file(file_);
  if (sha256_.empty()) sha256_ = io::to_hex(io::sha256(text_));
}

long Body::read(char* into, std::size_t count) {
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - at_));
  try {
    io::pread_exact(fd_.get(), into, length, offset_ + at_, file_);
  } catch (const std::exception& e) {
    error_ = e.what();
    return -1;
  }
  at_ += length;
  return static_cast<long>(length);
}

bool Body::seek(std::int64_t offset) {
  if (offset < 0 || static_cast<std::uint64_t>(offset) > size_) return false;
  at_ = static_cast<std::uint64_t>(offset);
  return true;
}

}  // namespace reef::http
