#include "reef/vector/hnsw_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::vector {

class HnswFile::Cursor {
 public:
  explicit Cursor(const HnswFile& owner)
      : owner_(owner), at_(owner.file_.data()), end_(owner.file_.data() + owner.file_.size()) {}

  template <typename T>
  T take() {
    if (left() < sizeof(T)) owner_.damaged("it is cut short");
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  /// An array behind its count, which must be `expected` unless that is SIZE_MAX.
  template <typename T>
  Packed<T> array(const char* name, std::size_t expected = SIZE_MAX) {
    const auto count = take<std::uint64_t>();
    if (expected != SIZE_MAX && count != expected)
      owner_.damaged(fmt::format("{} has {} entries, not {}", name, count, expected));
    if (count > left() / sizeof(T)) owner_.damaged("it is cut short");  // a product could overflow
    const Packed<T> result{at_, static_cast<std::size_t>(count)};
    at_ += count * sizeof(T);
    return result;
  }

  void expect(const char* kind) {
    if (left() < 4 || std::memcmp(at_, kind, 4) != 0) owner_.damaged(fmt::format("it is no '{}' index", kind));
    at_ += 4;
  }

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

 private:
  const HnswFile& owner_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

namespace {

constexpr std::int32_t kInnerProduct = 0;
constexpr std::int32_t kEightBits = 0;
constexpr std::int64_t kMostDimensions = 65'536;

std::uint64_t memory_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void HnswFile::damaged(const std::string& what) const {
  throw Error(Errc::corrupt, fmt::format("{}: {}", io::shown(file_.path()), what), "run 'reef-index build'");
}

HnswFile::HnswFile(const std::filesystem::path& path) : HnswFile(io::MappedFile(path)) {}

HnswFile::HnswFile(io::MappedFile file) : file_(std::move(file)) {
  // On a cold disk a search waits for hundreds of single reads, one after the other; one read of all of it takes half
  // as long, and leaves it in large pages for those who come after. One that does not fit would push itself out.
  if (file_.size() < memory_bytes() / 2) file_.load(0, file_.size(), false);
  // Or each read of a row looks at the time of the last one: a twentieth of a search. Refused where others own the
  // file.
  ::fcntl(file_.fd(), F_SETFL, O_NOATIME);
  Cursor cursor(*this);
  read_graph(cursor);
  read_codes(cursor);
}

void HnswFile::read_graph(Cursor& cursor) {
  cursor.expect("IHNs");
  const auto dim = cursor.take<std::int32_t>();
  const auto rows = cursor.take<std::int64_t>();
  cursor.take<std::int64_t>();
  cursor.take<std::int64_t>();
  cursor.take<std::uint8_t>();  // trained
  if (dim < 1 || dim > kMostDimensions || rows < 1 || rows > INT32_MAX || cursor.take<std::int32_t>() != kInnerProduct)
    damaged("its shape or metric is none that reef reads");
  rows_ = static_cast<std::size_t>(rows);
  dim_ = static_cast<std::size_t>(dim);
  cursor.array<double>("assign_probas");
  const auto cumulative = cursor.array<std::int32_t>("cum_nneighbor_per_level");
  levels_ = cursor.array<std::int32_t>("levels", rows_);
  offsets_ = cursor.array<std::uint64_t>("offsets", rows_ + 1);
  neighbours_ = cursor.array<std::int32_t>("neighbors");
  const auto entry = cursor.take<std::int32_t>();
  top_level_ = cursor.take<std::int32_t>();
  cursor.take<std::int32_t>();  // efConstruction
  const auto ef_search = cursor.take<std::int32_t>();
  cursor.take<std::int32_t>();  // upper_beam
  constexpr std::int32_t kMostEf = 1 << 16;
  if (entry < 0 || static_cast<std::size_t>(entry) >= rows_) damaged("its entry point is no row");
  if (ef_search < 1 || ef_search > kMostEf) damaged("its efSearch is out of range");
  if (top_level_ < 0 || static_cast<std::size_t>(top_level_) + 1 >= cumulative.count)
    damaged("its top level is out of range");
  for (std::size_t level = 0; level < cumulative.count; ++level) {
    const std::int64_t begin = cumulative[level];
    const std::int64_t before = level == 0 ? 0 : cumulative[level - 1];
    if (begin < before || begin - before > static_cast<std::int64_t>(kMostLinks) || (level == 0 && begin != 0))
      damaged("its links per level are out of range");
    level_begin_.push_back(static_cast<std::size_t>(begin));
  }
  entry_ = static_cast<std::uint32_t>(entry);
  ef_search_ = static_cast<std::size_t>(ef_search);
}

void HnswFile::read_codes(Cursor& cursor) {
  cursor.expect("IxSQ");
  const auto dim = cursor.take<std::int32_t>();
  const auto rows = cursor.take<std::int64_t>();
  cursor.take<std::int64_t>();
  cursor.take<std::int64_t>();
  cursor.take<std::uint8_t>();
  const auto metric = cursor.take<std::int32_t>();
  const auto type = cursor.take<std::int32_t>();
  cursor.take<std::int32_t>();  // range statistic
  cursor.take<float>();         // its argument
  const auto quantiser_dim = cursor.take<std::uint64_t>();
  const auto code_bytes = cursor.take<std::uint64_t>();
  if (static_cast<std::size_t>(dim) != dim_ || static_cast<std::size_t>(rows) != rows_ || metric != kInnerProduct ||
      type != kEightBits || quantiser_dim != dim_ || code_bytes != dim_)
    damaged("its vectors are no 8-bit codes of the graph's rows");
  const auto trained = cursor.array<float>("trained", 2 * dim_);
  trained_.resize(trained.count);
  std::memcpy(trained_.data(), trained.data, trained.count * sizeof(float));
  if (!std::all_of(trained_.begin(), trained_.end(), [](float value) { return std::isfinite(value); }))
    damaged("the range of its codes is not finite");
  codes_ = cursor.array<std::uint8_t>("codes", rows_ * dim_).data;
}

std::size_t HnswFile::links(std::uint32_t row, int level, std::uint32_t* out) const {
  const auto at = static_cast<std::size_t>(level);
  const std::uint64_t offset = offsets_[row];
  const std::size_t begin = level_begin_[at], width = level_begin_[at + 1] - begin;
  if (levels_[row] <= level || offset > neighbours_.count || begin + width > neighbours_.count - offset)
    damaged(fmt::format("links of row {} lie outside of it", row));
  std::size_t count = 0;
  for (; count < width; ++count) {
    const std::int32_t id = neighbours_[offset + begin + count];
    if (id < 0) break;
    if (static_cast<std::size_t>(id) >= rows_) damaged(fmt::format("row {} is linked to a row that is none", row));
    out[count] = static_cast<std::uint32_t>(id);
  }
  return count;
}

void HnswFile::read_code(std::uint32_t row, std::uint8_t* out) const {
  const auto offset = code(row) - file_.data();
  if (::pread(file_.fd(), out, dim_, offset) == static_cast<ssize_t>(dim_)) return;
  io::pread_exact(file_.fd(), out, dim_, static_cast<std::uint64_t>(offset), file_.path());  // goes on, or says why not
}

const std::uint8_t* HnswFile::base_links(std::uint32_t row) const {
  const std::uint64_t offset = offsets_[row];
  return offset < neighbours_.count ? neighbours_.data + offset * sizeof(std::int32_t) : nullptr;
}

}  // namespace reef::vector
