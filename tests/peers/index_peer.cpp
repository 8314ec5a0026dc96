// What tests/peers/faiss_reads_index.py and index_sets.py compare: writes an index and searches it as reef does.
//
//   index_peer FOLDER ROWS DIM THREADS   index.bin, vectors.npy and queries.npy in FOLDER; per query the rows
//                                        found, before re-ranking, as a JSON array
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "index_sample.h"
#include "reef/core/units.h"

int main(int argc, char** argv) {
  using namespace reef;
  if (argc != 5) {
    fmt::print(stderr, "usage: index_peer FOLDER ROWS DIM THREADS\n");
    return 2;
  }
  try {
    const peers::IndexSample sample(argv[1], parse_count(argv[2], "ROWS"), parse_count(argv[3], "DIM"),
                                    static_cast<unsigned>(parse_count(argv[4], "THREADS")));
    for (std::size_t q = 0; q < sample.hits.size(); ++q) {
      std::vector<std::uint64_t> rows;
      for (const vector::Hit& hit : sample.hits[q]) rows.push_back(hit.row);
      fmt::print("{}{}{}", q == 0 ? "[" : ",\n", rows, q + 1 == sample.hits.size() ? "]\n" : "");
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
  return 0;
}
