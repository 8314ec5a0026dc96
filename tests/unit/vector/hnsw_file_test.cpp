#include "reef/vector/hnsw_file.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "hnsw_sample.h"
#include "reef/io/file.h"
#include "reef/vector/hnsw_search.h"

using namespace reef;
using namespace reef::vector;
using namespace reef::test;

namespace {

/// The bytes of a small file in memory, to be damaged and opened thousands of times.
class DamagedFile {
 public:
  explicit DamagedFile(std::string bytes) : bytes_(std::move(bytes)), fd_(::memfd_create("index", 0)) {
    REQUIRE(fd_.get() >= 0);
    restore();
  }
  const std::string& bytes() const { return bytes_; }
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }
  void restore() { put(0, bytes_); }
  void put(std::size_t at, std::string_view bytes) {
    REQUIRE(::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
            static_cast<ssize_t>(bytes.size()));
  }
  void cut(std::size_t size) { REQUIRE(::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0); }

  /// What a search of the file as it is finds; nullopt for Error{corrupt}.
  std::optional<std::vector<Hit>> search(std::size_t ef) const {
    try {
      const HnswFile file(path());
      const std::vector<float> query(file.dim(), .25F);
      auto hits = HnswSearch(file).search(query, ef);
      REQUIRE(hits.size() <= ef);
      for (const Hit& hit : hits) REQUIRE(hit.row < file.rows());
      return hits;
    } catch (const Error& e) {
      REQUIRE(e.code() == Errc::corrupt);
      REQUIRE(contains(e.what(), "/proc/self/fd/"));
      return std::nullopt;
    }
  }

 private:
  std::string bytes_;
  io::UniqueFd fd_;
};

constexpr std::size_t kDim = 4;
constexpr std::size_t kRows = 9;  // row 6 has levels 1 and 2

DamagedFile small_file() {
  const GraphSample sample(random_rows(kRows, kDim, 51), kDim, {.ef_construction = 20, .threads = 1});
  REQUIRE(sample.graph.top_level(sample.graph.entry()) == 2);
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  return DamagedFile(io::read_file(sample.dir / "index.bin"));
}

/// Where fields lie in it: FAISS's header, three arrays of fixed size behind their counts, then one per row.
constexpr std::size_t kHeader = 4 + 4 + 3 * 8 + 1 + 4;
constexpr std::size_t kCumulative = kHeader + 8 + 6 * 8;
constexpr std::size_t kLevels = kCumulative + 8 + 7 * 4;
constexpr std::size_t kOffsets = kLevels + 8 + kRows * 4;
constexpr std::size_t kLinks = kOffsets + 8 + (kRows + 1) * 8;

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace

TEST_CASE("a graph is read back as it was written") {
  for (const std::size_t rows : {1U, 2U, 65U, 700U}) {
    CAPTURE(rows);
    const GraphSample sample(unit_rows(rows, 6, 52), 6, {.ef_construction = 40, .threads = 2});
    const HnswGraph& graph = sample.graph;
    write_hnsw_file(sample.dir / "index.bin", sample.codes, graph);
    const HnswFile file(sample.dir / "index.bin");
    REQUIRE(file.rows() == rows);
    REQUIRE(file.dim() == 6);
    CHECK(file.entry() == graph.entry());
    CHECK(file.top_level() == graph.top_level(graph.entry()));
    CHECK(file.ef_search() == 64);
    std::uint32_t ids[HnswFile::kMostLinks];
    for (std::uint32_t row = 0; row < rows; ++row) {
      REQUIRE(std::memcmp(file.code(row), sample.codes.row(row), 6) == 0);
      for (int level = 0; level <= graph.top_level(row); ++level) {
        const std::size_t count = file.links(row, level, ids);
        REQUIRE(std::ranges::equal(graph.links(row, level), std::span(ids, count)));
      }
      // It has no list above its own level.
      if (graph.top_level(row) < file.top_level())
        REQUIRE(error_of([&] { file.links(row, graph.top_level(row) + 1, ids); }).code() == Errc::corrupt);
    }
    for (std::size_t j = 0; j < 6; ++j) {  // FAISS's decoding of a code is that of UniformCodes
      const float step = sample.codes.step();
      for (const int code : {0, 1, 128, 255}) {
        const float decoded = file.minimum()[j] + (static_cast<float>(code) + .5F) / 255 * file.range()[j];
        CHECK(std::abs(decoded - static_cast<float>(code - 128) * step) <= step * 1e-4F);
      }
    }
  }
}

TEST_CASE("writing again gives the same bytes and replaces the file") {
  const GraphSample sample(unit_rows(100, 6, 53), 6, {.ef_construction = 20, .threads = 2});
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  const std::string bytes = io::read_file(sample.dir / "index.bin");
  write_file(sample.dir / "index.bin", "an older one");
  write_hnsw_file(sample.dir / "index.bin", sample.codes, sample.graph);
  CHECK(io::read_file(sample.dir / "index.bin") == bytes);
}

TEST_CASE("an index cut short at any length is corrupt") {
  DamagedFile file = small_file();
  REQUIRE(file.search(16).value().size() == kRows);
  for (std::size_t size = file.bytes().size(); size-- > 0;) {
    CAPTURE(size);
    file.cut(size);
    REQUIRE(!file.search(16));
  }
}

TEST_CASE("an index with any byte damaged is corrupt or searched to an end") {
  DamagedFile file = small_file();
  const std::string& bytes = file.bytes();
  const std::size_t codes = bytes.size() - kRows * kDim;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < codes; ++at) {
    CAPTURE(at);
    for (const int flip : {0xff, 0x80, 0x01}) {
      CAPTURE(flip);
      file.put(at, raw(static_cast<char>(bytes[at] ^ flip)));
      if (!file.search(16)) ++refused;
    }
    file.put(at, bytes.substr(at, 1));
  }
  CHECK(refused > 500);
  CHECK(file.search(16).value().size() == kRows);
}

TEST_CASE("counts and offsets of an index that cannot be are corrupt") {
  DamagedFile file = small_file();
  struct {
    const char* name;
    std::size_t at;
    std::string bytes;
  } const kCases[] = {
      {"another kind", 0, "IxFI"},
      {"no dimension", 4, raw(std::int32_t{0})},
      {"a negative dimension", 4, raw(std::int32_t{-1})},
      {"too many dimensions", 4, raw(std::int32_t{65'537})},
      {"no rows", 8, raw(std::int64_t{0})},
      {"negative rows", 8, raw(std::int64_t{-1})},
      {"more rows than ids", 8, raw(std::int64_t{1} << 31)},
      {"L2", kHeader - 4, raw(std::int32_t{1})},
      {"a count whose bytes overflow", kHeader, raw(std::uint64_t{1} << 61)},
      {"the largest count", kHeader, raw(UINT64_MAX)},
      {"one level too few", kCumulative, raw(std::uint64_t{0})},
      {"first level not at 0", kCumulative + 8, raw(std::int32_t{1})},
      {"more links than fit", kCumulative + 12, raw(std::int32_t{513})},
      {"levels that go back", kCumulative + 16, raw(std::int32_t{63})},
      {"negative links", kCumulative + 12, raw(std::int32_t{-1})},
      {"levels of other rows", kLevels, raw(std::uint64_t{kRows - 1})},
      {"the entry point has too few levels", kLevels + 8 + 6 * 4, raw(std::int32_t{2})},
      {"offsets of other rows", kOffsets, raw(std::uint64_t{kRows})},
      {"an offset past the links", kOffsets + 8 + 6 * 8, raw(std::uint64_t{1} << 40)},
      {"an offset that overflows", kOffsets + 8 + 6 * 8, raw(UINT64_MAX)},
      {"a link to no row", kLinks + 8, raw(std::int32_t{kRows})},
      {"a link to the largest row", kLinks + 8, raw(INT32_MAX)},
  };
  for (const auto& damage : kCases) {
    CAPTURE(damage.name);
    file.put(damage.at, damage.bytes);
    CHECK(!file.search(16));
    file.restore();
  }
  CHECK(file.search(16));
}

TEST_CASE("an absent index is not_found") {
  const TempDir dir;
  CHECK(error_of([&] { HnswFile(dir / "index.bin"); }).code() == Errc::not_found);
}
