#include "reef/vector/internal/store_files.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"

namespace reef::vector::internal {
namespace {

constexpr std::uint64_t kRebuildRows = 4096;

NpyAppender append_codes(const std::filesystem::path& path, const StoreState& state, std::uint64_t committed) {
  return NpyAppender(path, codes_descr(state.dim), code_row_bytes(state.dim), 0, committed);
}

void rebuild_codes(const std::filesystem::path& path, const NpyMatrix& vectors, const StoreState& state) {
  io::StagedFile staged(path);
  NpyAppender codes = append_codes(staged.temporary_path(), state, 0);
  std::vector<std::uint8_t> encoded;
  for (std::uint64_t row = 0; row < vectors.rows(); row += kRebuildRows) {
    check_interrupt();
    const std::uint64_t count = std::min(kRebuildRows, vectors.rows() - row);
    encoded.clear();
    encode_rows({vectors.row(row).data(), count * state.dim}, state.dim, encoded);
    codes.append(encoded);
  }
  codes.sync();
  staged.commit();
}

}  // namespace

NpyMatrix open_vectors(const std::filesystem::path& folder, const StoreState& state) {
  const std::filesystem::path path = folder / state.vectors_file;
  const char* const hint = "restore the file from a backup, or remove what is in the folder and ingest again";
  const auto damaged = [&](const std::string& why) { return Error(Errc::corrupt, why, hint); };
  try {
    NpyMatrix vectors(path, state.rows_total);
    if (vectors.dim() == state.dim) return vectors;
    throw damaged(fmt::format("{}: rows of {} values, the store counts {} rows of {}", io::shown(path), vectors.dim(),
                              state.rows_total, state.dim));
  } catch (const Error& e) {
    if (e.code() == Errc::corrupt) throw damaged(e.what());
    if (e.code() != Errc::not_found) throw;
    throw damaged(
        fmt::format("{}: the file is gone, and the store counts {} rows in it", io::shown(path), state.rows_total));
  }
}

NpyAppender open_or_rebuild_codes(const std::filesystem::path& folder, const StoreState& state) {
  const std::filesystem::path path = folder / state.codes_file;
  try {
    return append_codes(path, state, state.rows_total);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    log_step("making {} again ({})", io::shown(path), e.what());
  }
  rebuild_codes(path, open_vectors(folder, state), state);
  return append_codes(path, state, state.rows_total);
}

double norm(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
  // A square of a finite float is finite as a double, and so is the sum of 65,536 of them.
  return std::isfinite(sum) ? std::sqrt(sum) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace reef::vector::internal

namespace reef::vector {

bool is_unit(std::span<const float> row) { return std::abs(internal::norm(row) - 1) < internal::kUnitTolerance; }

}  // namespace reef::vector
