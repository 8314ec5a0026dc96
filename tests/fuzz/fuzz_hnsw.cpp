// Any bytes are either an index whose search ends with rows of it, or Error{corrupt}.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/unique_handle.h"
#include "reef/vector/hnsw_search.h"

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

void search(const reef::vector::HnswFile& file) {
  using namespace reef;
  constexpr std::size_t kEf = 16, kMostRows = 4096;
  if (file.rows() > kMostRows) return;
  vector::HnswSearch walk(file);
  std::vector<float> query(file.dim());
  for (const float first : {1.0F, -1.0F}) {
    for (std::size_t j = 0; j < query.size(); ++j) query[j] = first / static_cast<float>(j + 1);
    const auto hits = walk.search(query, kEf);
    require(!hits.empty() && hits.size() <= kEf);
    std::vector<bool> seen(file.rows());
    for (const vector::Hit& hit : hits) {
      require(hit.row < file.rows() && !seen[hit.row]);
      seen[hit.row] = true;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace reef;
  static const io::UniqueFd file(::memfd_create("index.bin", 0));
  require(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
  require(::pwrite(file.get(), data, size, 0) == static_cast<ssize_t>(size));
  try {
    search(vector::HnswFile("/proc/self/fd/" + std::to_string(file.get())));
  } catch (const Error& e) {
    require(e.code() == Errc::corrupt);
  }
  return 0;
}
