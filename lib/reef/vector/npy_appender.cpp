#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/npy.h"

namespace reef::vector {

NpyAppender::NpyAppender(std::filesystem::path path, std::string descr, std::size_t row_bytes, std::size_t columns,
                         std::optional<std::uint64_t> committed_rows)
    : path_(std::move(path)), descr_(std::move(descr)), row_bytes_(row_bytes), columns_(columns) {
  std::error_code unreadable;  // told by open_file
  const bool exists = std::filesystem::exists(path_, unreadable);
  if (!exists && committed_rows.value_or(0) > 0) {
    throw Error(
        Errc::corrupt,
        fmt::format("{}: the file is gone, and the store counts {} rows in it", io::shown(path_), *committed_rows),
        "restore it from a backup, or build the store again from its texts");
  }
  fd_ = io::open_file(path_, O_RDWR | O_CREAT | O_CLOEXEC);
  created_ = !exists;
  if (created_ || committed_rows == std::uint64_t{0}) {
    begin_file();
  } else {
    adopt_file(committed_rows);
  }
}

void NpyAppender::begin_file() {
  const std::string header = internal::npy_header_text(descr_, 0, columns_);
  if (!created_ && io::file_size(fd_.get(), path_) == header.size()) {  // a run that was killed before its first row
    std::string present(header.size(), '\0');
    io::pread_exact(fd_.get(), present.data(), present.size(), 0, path_);
    data_offset_ = header.size();
    if (present == header) return;
  }
  if (::ftruncate(fd_.get(), 0) != 0) throw_errno("truncate", io::shown(path_));
  data_offset_ = header.size();
  write_header();
}

void NpyAppender::adopt_file(std::optional<std::uint64_t> committed_rows) {
  const std::string name = io::shown(path_);
  const std::uint64_t size = io::file_size(fd_.get(), path_);
  std::vector<std::uint8_t> beginning(std::min<std::uint64_t>(size, internal::kMaxNpyHeader));
  io::pread_exact(fd_.get(), beginning.data(), beginning.size(), 0, path_);
  const NpyHeader header = parse_npy_header(beginning, name);
  const bool shaped =
      columns_ == 0 ? header.shape.size() == 1 : header.shape.size() == 2 && header.shape[1] == columns_;
  if (internal::normalised_descr(header.descr) != internal::normalised_descr(descr_) || header.fortran_order ||
      !shaped) {
    throw Error(Errc::corrupt, fmt::format("{}: holds rows of another type or size than {} x {}", name,
                                           std::max<std::size_t>(columns_, 1), descr_));
  }
  data_offset_ = header.data_offset;
  const std::uint64_t wanted = committed_rows.value_or(header.shape[0]);
  const std::uint64_t present = (size - data_offset_) / row_bytes_;
  if (present < wanted) {
    throw Error(Errc::corrupt,
                fmt::format("{}: holds {} rows, {} counts {}", name, present,
                            committed_rows ? "the store" : "its header", wanted),
                "restore it from a backup, or build the store again from its texts");
  }
  rows_ = wanted;
  // The header first: a program that opens the file in between must not be told of rows that are gone.
  if (header.shape[0] != wanted) {
    write_header();
    io::sync_file(fd_.get(), path_);
    unsynced_ = false;
  }
  if (size != end_of(rows_) && ::ftruncate(fd_.get(), static_cast<off_t>(end_of(rows_))) != 0) {
    throw_errno("truncate", name);
  }
}

void NpyAppender::truncate(std::uint64_t rows) {
  if (rows >= rows_) return;
  rows_ = rows;
  write_header();
  io::sync_file(fd_.get(), path_);
  if (::ftruncate(fd_.get(), static_cast<off_t>(end_of(rows_))) != 0) throw_errno("truncate", io::shown(path_));
}

void NpyAppender::append(std::span<const std::uint8_t> bytes) {
  if (bytes.size() % row_bytes_ != 0) {
    throw Error(Errc::failed,
                fmt::format("{}: {} bytes are no rows of {}", io::shown(path_), bytes.size(), row_bytes_));
  }
  io::pwrite_all(fd_.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, end_of(rows_), path_);
  rows_ += bytes.size() / row_bytes_;
  unsynced_ = true;
}

void NpyAppender::sync() {
  if (!unsynced_) return;
  io::sync_file(fd_.get(), path_);
  write_header();
  io::sync_file(fd_.get(), path_);
  if (created_) io::sync_directory(path_.has_parent_path() ? path_.parent_path() : ".");
  created_ = false;
  unsynced_ = false;
}

void NpyAppender::write_header() {
  io::pwrite_all(fd_.get(), internal::npy_header_text(descr_, rows_, columns_, data_offset_), 0, path_);
  unsynced_ = true;
}

}  // namespace reef::vector
