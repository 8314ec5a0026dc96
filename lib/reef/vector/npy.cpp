#include "reef/vector/npy.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/npy_format.h"
#include "reef/vector/internal/small_file.h"

namespace reef::vector {
namespace {

constexpr std::uint64_t kMaxDim = 65'536;  // where dot_four's int32 is still exact

std::string_view as_text(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

NpyMatrix::NpyMatrix(const std::filesystem::path& path) : NpyMatrix(path, std::nullopt) {}

NpyMatrix::NpyMatrix(const std::filesystem::path& path, std::uint64_t committed_rows)
    : NpyMatrix(path, std::optional(committed_rows)) {}

NpyMatrix::NpyMatrix(const std::filesystem::path& path, std::optional<std::uint64_t> committed_rows) : file_(path) {
  const std::string name = io::shown(path);
  internal::load_if_small(file_);
  const NpyHeader header = parse_npy_header(file_.bytes(), name);
  if (header.descr != "<f4" || header.fortran_order || header.shape.size() != 2) {
    throw Error(Errc::corrupt,
                fmt::format("{}: no matrix of little-endian float32 in C order (its type is {}{}, of {} "
                            "dimensions)",
                            name, header.descr, header.fortran_order ? " in Fortran order" : "", header.shape.size()),
                "convert it with numpy: numpy.save(f, numpy.ascontiguousarray(a, dtype='<f4'))");
  }
  const std::uint64_t dim = header.shape[1];
  if (dim == 0 || dim > kMaxDim) {
    throw Error(Errc::corrupt, fmt::format("{}: rows of {} values, outside 1 to {}", name, dim, kMaxDim));
  }
  if (header.data_offset % sizeof(float) != 0) {
    throw Error(Errc::corrupt, fmt::format("{}: data at byte {}, no multiple of 4", name, header.data_offset));
  }
  const std::uint64_t wanted = committed_rows.value_or(header.shape[0]);
  const std::uint64_t present = (file_.size() - header.data_offset) / (sizeof(float) * dim);
  if (present < wanted) {
    throw Error(Errc::corrupt,
                fmt::format("{}: holds {} rows, {} counts {}", name, present,
                            committed_rows ? "the store" : "its header", wanted),
                "the file was cut; restore it from a backup or write it again");
  }
  rows_ = wanted;
  dim_ = static_cast<std::size_t>(dim);
  data_ = reinterpret_cast<const float*>(file_.data() + header.data_offset);
}

std::span<const float> NpyMatrix::row(std::uint64_t i) const {
  if (i >= rows_) throw_no_row(i);
  return {data_ + i * dim_, dim_};
}

void NpyMatrix::throw_no_row(std::uint64_t i) const {
  throw Error(Errc::corrupt, fmt::format("{}: row {} was asked for, of {}", io::shown(file_.path()), i, rows_),
              "what names it is damaged: 'reef-index verify' tells more");
}

void NpyMatrix::read_row(std::uint64_t i, std::span<float> out) const {
  const auto offset = reinterpret_cast<const std::uint8_t*>(row(i).data()) - file_.data();
  io::pread_exact(file_.fd(), out.data(), dim_ * sizeof(float), static_cast<std::uint64_t>(offset), file_.path());
}

void write_npy(const std::filesystem::path& path, std::span<const float> values, std::size_t dim) {
  if (dim == 0 || values.size() % dim != 0) {
    throw Error(Errc::failed, fmt::format("{}: {} values are no rows of {}", io::shown(path), values.size(), dim));
  }
  io::StagedFile file(path);
  file.write(internal::npy_header_text("<f4", values.size() / dim, dim));
  file.write(as_text(values));
  file.commit();
}

}  // namespace reef::vector
