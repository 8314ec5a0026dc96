// What tests/peers/vectors.py compares with numpy: writes and reads vector files as reef does.
//
//   vectors_peer store FOLDER ROWS   appends ROWS rows of 24 values to the store of FOLDER
//   vectors_peer embed FILE ROWS     writes the same rows in one go, as `reef-index embed -o` does
//   vectors_peer read FILE           "rows dim sum", or the error on stderr and status 1
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/units.h"
#include "reef/io/sqlite.h"
#include "reef/vector/store.h"

namespace {

using namespace reef;
using namespace reef::vector;

constexpr std::size_t kDim = 24;

std::vector<float> make_rows(std::size_t first, std::size_t count) {
  std::vector<float> rows;
  for (std::size_t i = first; i < first + count; ++i) {
    double sum = 0;
    std::vector<double> row(kDim);
    for (std::size_t j = 0; j < kDim; ++j) {
      row[j] = std::sin(static_cast<double>(i * kDim + j));
      sum += row[j] * row[j];
    }
    for (const double x : row) rows.push_back(static_cast<float>(x / std::sqrt(sum)));
  }
  return rows;
}

void add_to_store(const std::filesystem::path& folder, std::size_t count) {
  const bool fresh = !std::filesystem::exists(folder / "metadata.sqlite");
  io::Database metadata(folder / "metadata.sqlite", io::OpenMode::create);
  if (fresh) metadata.execute(std::string(kStoreSchema) + kIndexSchema);
  StoreWriter writer(folder, metadata);
  writer.use_model("peer", "0123456789abcdef", kDim);
  writer.append(make_rows(writer.state().rows_total, count));
  io::Transaction transaction(metadata);
  writer.commit();
  transaction.commit();
  writer.publish();
}

void read(const std::filesystem::path& path) {
  const NpyMatrix matrix(path);
  double sum = 0;
  for (std::uint64_t i = 0; i < matrix.rows(); ++i) {
    for (const float x : matrix.row(i)) sum += static_cast<double>(x);
  }
  fmt::print("{} {} {:.6f}\n", matrix.rows(), matrix.dim(), sum);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string verb = argc > 2 ? argv[1] : "";
    if (verb == "store" && argc == 4) {
      add_to_store(argv[2], parse_count(argv[3], "ROWS"));
    } else if (verb == "embed" && argc == 4) {
      write_npy(argv[2], make_rows(0, parse_count(argv[3], "ROWS")), kDim);
    } else if (verb == "read" && argc == 3) {
      read(argv[2]);
    } else {
      fmt::print(stderr, "usage: vectors_peer store FOLDER ROWS | embed FILE ROWS | read FILE\n");
      return 2;
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
  return 0;
}
