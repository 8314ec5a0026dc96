#include "reef/io/sqlite_capture.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/database_image.h"

namespace reef::io {
namespace {

using internal::DatabaseImage;
using internal::WalOverlay;
using internal::WalPosition;

constexpr std::string_view kMagic{"SQLite format 3\0", 16};

/// The name without links on the way, so that SQLite may be told to follow none.
fs::path direct_path(const fs::path& path) {
  std::error_code error;
  const fs::path folder = fs::canonical(path.has_parent_path() ? path.parent_path() : ".", error);
  if (error)
    throw Error(error == std::errc::no_such_file_or_directory ? Errc::not_found : Errc::failed,
                fmt::format("open {}: {}", shown(path), error.message()));
  return folder / path.filename();
}

/// On a filesystem that is mounted read-only a log cannot be opened, and nobody can write to it either.
bool is_read_only(const fs::path& path) {
  struct statvfs info {};
  return ::statvfs(path.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

/// A database and its log that nobody can write to.
std::unique_ptr<DatabaseImage> copy_unwritable(const fs::path& path, const fs::path& scratch) {
  const std::string log = internal::beside(path, "-wal");
  const UniqueFd file = open_regular(path, "");
  const UniqueFd frames = open_regular(log, "");
  const auto read_log = [&](std::uint64_t at, std::span<std::uint8_t> into) {
    pread_exact(frames.get(), into.data(), into.size(), at, log);
  };
  WalPosition found;
  const WalOverlay overlay(read_log, internal::size_of(log), found);
  const std::uint64_t size = file_size(file.get(), path);
  const std::uint64_t page = found.page_size;
  const auto read = [&](std::uint64_t at, std::span<std::uint8_t> into) {
    std::fill(into.begin(), into.end(), std::uint8_t{0});
    if (at < size) pread_exact(file.get(), into.data(), std::min<std::uint64_t>(into.size(), size - at), at, path);
    if (found.last == 0) return;
    const std::uint64_t end = at + into.size();
    const auto page_at = [&](const auto& frame) { return (frame->first - std::uint64_t{1}) * page; };
    for (auto frame = overlay.next(static_cast<std::uint32_t>(at / page + 1)); frame && page_at(frame) < end;
         frame = overlay.next(frame->first + 1))
      read_log(frame->second, into.subspan(page_at(frame) - at, page));
  };
  return internal::copy_database(path, scratch, found.last == 0 ? size : found.pages * page, read);
}

}  // namespace

bool begins_as_sqlite(std::span<const std::uint8_t> first_bytes) {
  return first_bytes.size() >= kMagic.size() && std::memcmp(first_bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

SqliteCapture::SqliteCapture(const fs::path& path, const SqliteCaptureOptions& options) {
  const fs::path direct = direct_path(path);
  std::error_code none;  // the copy then fails
  const fs::path scratch = options.scratch.empty() ? fs::temp_directory_path(none) : options.scratch;
  if (options.may_rest) image_ = internal::open_resting(direct);
  if (image_) return;
  try {
    image_ = internal::open_live(direct, options.patience);
  } catch (const Error& error) {
    if (error.code() != Errc::failed || internal::size_of(internal::beside(direct, "-wal")) == 0 ||
        !is_read_only(direct))
      throw;
    image_ = copy_unwritable(direct, scratch);
  }
  if (!image_->keeps_writers_waiting()) return;
  try {
    const auto read = [&](std::uint64_t at, std::span<std::uint8_t> into) { image_->read(at, into); };
    auto copy = internal::copy_database(direct, scratch, image_->size_bytes(), read);
    if (image_->still_holds()) image_ = std::move(copy);
  } catch (const Error& error) {
    if (error.code() != Errc::failed && error.code() != Errc::not_found) throw;
    // No room, mostly: then they wait.
  }
}

SqliteCapture::~SqliteCapture() = default;
std::uint64_t SqliteCapture::size_bytes() const { return image_->size_bytes(); }
void SqliteCapture::read(std::uint64_t offset, std::span<std::uint8_t> into) const { image_->read(offset, into); }
int SqliteCapture::descriptor() const { return image_->descriptor(); }
Database& SqliteCapture::database() { return image_->database(); }
bool SqliteCapture::still_holds() const { return image_->still_holds(); }

}  // namespace reef::io
