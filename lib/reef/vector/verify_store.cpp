#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/vector/internal/store_files.h"
#include "reef/vector/store.h"

namespace reef::vector {
namespace {

constexpr std::uint64_t kWindowRows = 4096;
constexpr const char* kNextAppend = "the next run that adds to the store";
constexpr const char* kRestore = "restore the file from a backup, or remove what is in the folder and ingest again";

/// Rows with one kind of fault: a whole file of them is one finding, not a million.
struct RowFaults {
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  void add(std::uint64_t row) {
    if (count++ == 0) first = row;
  }
  std::string rows() const {
    return count == 1 ? fmt::format("row {}", first) : fmt::format("{} rows, the first of them {},", count, first);
  }
};

class Verifier {
 public:
  Verifier(const std::filesystem::path& folder, io::Database& metadata)
      : folder_(folder), metadata_(metadata), state_(read_state(metadata)) {}

  std::vector<StoreFault> run() {
    check_dead_rows();
    for (const auto& path : internal::unnamed(folder_, state_))
      add(path.filename().string(), "left by a run that was ended; the next run that writes removes it", true);
    if (state_.rows_total == 0) return std::move(faults_);
    check_files();
    check_published();
    return std::move(faults_);
  }

 private:
  void add(const std::string& file, std::string what, bool mends_itself, std::string next_step = kRestore) {
    faults_.push_back({io::shown(folder_ / file), std::move(what), mends_itself, std::move(next_step)});
  }

  void check_dead_rows() {
    auto query = metadata_.prepare("SELECT count(*), min(row) FROM dead_rows WHERE row < 0 OR row >= ?1");
    query.bind(1, static_cast<std::int64_t>(state_.rows_total)).step();
    if (query.integer(0) == 0) return;
    faults_.push_back({metadata_.path(),
                       fmt::format("{} removed rows are none of the store's {} (the first of them {})",
                                   query.integer(0), state_.rows_total, query.integer(1)),
                       false, kRestore});
  }

  void check_files() {
    std::optional<NpyMatrix> vectors;
    try {
      vectors = internal::open_vectors(folder_, state_);
    } catch (const Error& e) {
      add(state_.vectors_file, e.what(), false);
      return;
    }
    check_count(state_.vectors_file, vectors->file(), state_.dim * sizeof(float));
    std::optional<CodeMatrix> codes;
    try {
      codes.emplace(folder_ / state_.codes_file, state_.dim);
    } catch (const Error& e) {
      add(state_.codes_file, fmt::format("{}; {} makes it again", e.what(), kNextAppend), true);
    }
    if (codes) {
      check_count(state_.codes_file, codes->file(), code_row_bytes(state_.dim));
      if (codes->rows() < state_.rows_total) {
        add(state_.codes_file,
            fmt::format("holds {} of {} rows; {} makes it again", codes->rows(), state_.rows_total, kNextAppend), true);
      }
    }
    check_rows(*vectors, codes ? &*codes : nullptr);
    if (!state_.index_file.empty()) check_index(*vectors);
  }

  void check_index(const NpyMatrix& vectors) {
    const char* const build = "run 'reef-index build'";
    try {
      const std::string sha256 =
          io::to_hex(io::sha256_file(folder_ / state_.index_file, [](std::uint64_t) { check_interrupt(); }));
      if (sha256 != state_.index_sha256) {
        add(state_.index_file, "its content is not what was built", false, build);
        return;
      }
      if (index_kind(state_) == IndexKind::factory) return;  // FAISS alone reads it
      const HnswFile index(folder_ / state_.index_file);
      if (index.rows() != state_.rows_indexed || index.dim() != state_.dim) {
        add(state_.index_file,
            fmt::format("holds {} rows of {}, the store counts {} of {}", index.rows(), index.dim(),
                        state_.rows_indexed, state_.dim),
            false, build);
        return;
      }
      check_index_codes(vectors, index);
    } catch (const Error& e) {
      if (e.code() == Errc::interrupted) throw;
      add(state_.index_file, e.what(), false, build);
    }
  }

  /// A sample of the graph's codes against the vectors that they stand for.
  void check_index_codes(const NpyMatrix& vectors, const HnswFile& index) {
    constexpr std::uint64_t kSample = 1'000;
    RowFaults miscoded;
    const std::uint64_t stride = std::max<std::uint64_t>(1, state_.rows_indexed / kSample);
    for (std::uint64_t row = 0; row < state_.rows_indexed; row += stride) {
      const std::uint8_t* const code = index.code(static_cast<std::uint32_t>(row));
      for (std::size_t j = 0; j < state_.dim; ++j) {
        const float step = index.range()[j] / 255;
        const float decoded = index.minimum()[j] + (static_cast<float>(code[j]) + .5F) * step;
        const bool cut = code[j] == 0 || code[j] == 255;
        // In a narrow range far from zero floats are coarse themselves.
        const float tolerance = .51F * step + 1e-6F * std::abs(index.minimum()[j]);
        if (cut || std::abs(decoded - vectors.row(row)[j]) <= tolerance) continue;
        miscoded.add(row);
        break;
      }
    }
    if (miscoded.count > 0)
      add(state_.index_file, miscoded.rows() + " does not match its vector", false, "run 'reef-index build'");
  }

  /// What foreign programs see: the header's count and nothing behind it.
  void check_count(const std::string& file, const io::MappedFile& mapped, std::size_t row_bytes) {
    const NpyHeader header = parse_npy_header(mapped.bytes(), mapped.path());
    if (header.shape[0] != state_.rows_total) {
      add(file,
          fmt::format("its header counts {} rows, the store {}; {} writes it anew", header.shape[0], state_.rows_total,
                      kNextAppend),
          true);
    }
    const std::uint64_t end = header.data_offset + state_.rows_total * row_bytes;
    if (mapped.size() > end) {
      add(file,
          fmt::format("{} bytes follow its {} committed rows, left by a run that was killed; {} cuts them",
                      mapped.size() - end, state_.rows_total, kNextAppend),
          true);
    }
  }

  void check_rows(const NpyMatrix& vectors, const CodeMatrix* codes) {
    RowFaults infinite, stretched, miscoded;
    const std::uint64_t coded = codes ? codes->rows() : 0;
    std::vector<std::int8_t> code(state_.dim);
    for (std::uint64_t row = 0; row < vectors.rows(); ++row) {
      if (row % kWindowRows == 0) read_window(vectors, row);
      const std::span<const float> values = vectors.row(row);
      const double length = internal::norm(values);
      if (std::isnan(length)) {
        infinite.add(row);
      } else if (std::abs(length - 1) >= internal::kUnitTolerance) {
        stretched.add(row);
      }
      if (row >= coded) continue;
      const float scale = encode_row(values, code.data());
      const float stored = codes->scale(row);
      if (std::bit_cast<std::uint32_t>(scale) != std::bit_cast<std::uint32_t>(stored) ||
          std::memcmp(code.data(), codes->code(row), code.size()) != 0) {
        miscoded.add(row);
      }
    }
    if (infinite.count > 0) {
      add(state_.vectors_file, infinite.rows() + " holds values that are not finite", false);
    }
    if (stretched.count > 0) {
      add(state_.vectors_file, stretched.rows() + " is not of unit length", false);
    }
    if (miscoded.count > 0) {
      add(state_.codes_file, miscoded.rows() + " does not match its vector", false,
          fmt::format("remove the file, and {} makes it again", kNextAppend));
    }
  }

  /// The kernel reads the next window while this one is checked.
  void read_window(const NpyMatrix& vectors, std::uint64_t row) const {
    check_interrupt();
    const std::uint64_t ahead = row + kWindowRows;
    if (ahead >= vectors.rows()) return;
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(vectors.row(ahead).data());
    const std::uint64_t count = std::min(kWindowRows, vectors.rows() - ahead);
    vectors.file().read_ahead(static_cast<std::size_t>(begin - vectors.file().data()),
                              count * state_.dim * sizeof(float));
  }

  void check_published() {
    for (const auto& [plain, target] : internal::plain_names(state_)) {
      if (!target.empty() && !internal::is_link_to(folder_, plain, target)) {
        add(plain, fmt::format("is no link to {}; {} makes it one", target, kNextAppend), true);
      }
    }
    std::string config;
    try {
      config = io::read_file(folder_ / internal::kConfig);
    } catch (const Error& e) {
      if (e.code() != Errc::not_found) throw;
    }
    if (config != internal::config_text(state_)) {
      add(internal::kConfig,
          fmt::format("{}; {} writes it anew", config.empty() ? "is missing" : "does not say what the store holds",
                      kNextAppend),
          true);
    }
  }

  const std::filesystem::path& folder_;
  io::Database& metadata_;
  StoreState state_;
  std::vector<StoreFault> faults_;
};

}  // namespace

std::vector<StoreFault> verify_store(const std::filesystem::path& folder, io::Database& metadata) {
  return Verifier(folder, metadata).run();
}

}  // namespace reef::vector
