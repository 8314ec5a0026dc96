#include <faiss/Index.h>
#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "faiss_index.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/vector/internal/faiss_frames.h"
#include "reef/vector/npy.h"

namespace reef::libexec {
namespace {

namespace fs = std::filesystem;
using vector::internal::AnswerEntry;
using vector::internal::Greeting;
using vector::internal::QuestionHeader;

/// What one frame may hold, of floats and of answers.
constexpr std::uint64_t kMostFrameBytes = std::uint64_t{1} << 30;

std::size_t read_up_to(int fd, void* into, std::size_t count) {
  std::size_t got = 0;
  while (got < count) {
    const ssize_t step = ::read(fd, static_cast<char*>(into) + got, count - got);
    if (step < 0 && errno == EINTR) continue;
    if (step < 0) throw_errno("read", "the question");
    if (step == 0) break;
    got += static_cast<std::size_t>(step);
  }
  return got;
}

template <typename T>
std::string_view bytes_of(const T* values, std::size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

struct Results {
  std::vector<float> distances;
  std::vector<faiss::Index::idx_t> ids;
};

Results search(const faiss::Index& index, const float* questions, std::size_t count, std::size_t k) {
  // One question needs no team of threads; FAISS would start one.
  static const int most_threads = omp_get_max_threads();
  omp_set_num_threads(static_cast<int>(std::min<std::size_t>(count, static_cast<std::size_t>(most_threads))));
  Results results{std::vector<float>(count * k), std::vector<faiss::Index::idx_t>(count * k)};
  index.search(static_cast<faiss::Index::idx_t>(count), questions, static_cast<faiss::Index::idx_t>(k),
               results.distances.data(), results.ids.data());
  return results;
}

/// False at the end of input.
bool read_question(const faiss::Index& index, std::uint32_t k, QuestionHeader& header, std::vector<float>& values) {
  const std::size_t got = read_up_to(STDIN_FILENO, &header, sizeof header);
  if (got == 0) return false;
  if (got == sizeof header && header.dim != static_cast<std::uint32_t>(index.d)) {
    throw Error(Errc::usage, fmt::format("a question of {} dimensions for an index of {}", header.dim, index.d));
  }
  const std::uint64_t largest =
      std::max<std::uint64_t>(std::uint64_t{header.dim} * sizeof(float), k * sizeof(AnswerEntry));
  if (got == sizeof header && header.count > kMostFrameBytes / largest) {
    throw Error(Errc::usage, fmt::format("{} questions in one frame are too many", header.count));
  }
  if (got == sizeof header) {
    values.resize(std::size_t{header.count} * header.dim);
    if (read_up_to(STDIN_FILENO, values.data(), values.size() * sizeof(float)) == values.size() * sizeof(float))
      return true;
  }
  throw Error(Errc::failed, "the question is cut");
}

}  // namespace

void answer(const fs::path& path, std::uint32_t k, const Effort& effort) {
  const std::unique_ptr<faiss::Index> index = open_index(path);
  set_effort(*index, effort);
  Greeting greeting;
  greeting.dim = static_cast<std::uint32_t>(index->d);
  greeting.rows = static_cast<std::uint64_t>(index->ntotal);
  io::write_all(STDOUT_FILENO, bytes_of(&greeting, 1), "standard output");
  QuestionHeader header;
  std::vector<float> questions;
  std::vector<AnswerEntry> answers;
  while (read_question(*index, k, header, questions)) {
    const Results results = search(*index, questions.data(), header.count, k);
    answers.resize(results.ids.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      answers[i] = {results.ids[i], results.ids[i] < 0 ? 0 : score_of(*index, results.distances[i])};
    }
    io::write_all(STDOUT_FILENO, bytes_of(answers.data(), answers.size()), "standard output");
  }
}

bool verify(const fs::path& path, const fs::path& vectors_path, std::uint64_t rows) {
  constexpr std::uint64_t kSampled = 200;
  constexpr std::size_t kNearest = 10;
  const vector::NpyMatrix vectors(vectors_path, rows);
  const std::unique_ptr<faiss::Index> index = open_index(path);
  set_effort(*index, {});
  const bool fits =
      static_cast<std::uint64_t>(index->ntotal) == rows && static_cast<std::size_t>(index->d) == vectors.dim();
  const std::uint64_t sampled = fits ? std::min(kSampled, rows) : 0;
  std::uint64_t found = 0;
  for (std::uint64_t i = 0; i < sampled; ++i) {
    const auto row = vectors.row(i * rows / sampled);
    const Results results = search(*index, row.data(), 1, kNearest);
    // An equal row counts as well: of many copies only some fit among the nearest.
    found += std::any_of(results.ids.begin(), results.ids.end(), [&](faiss::Index::idx_t id) {
      return id >= 0 && static_cast<std::uint64_t>(id) < rows &&
             std::memcmp(vectors.row(static_cast<std::uint64_t>(id)).data(), row.data(), row.size_bytes()) == 0;
    });
  }
  const char* const metric = index->metric_type == faiss::METRIC_INNER_PRODUCT ? "inner_product" : "l2";
  fmt::print(
      R"({{"schema":"reef.faiss.verify/1","rows":{},"dim":{},"metric":"{}","expected_rows":{},"expected_dim":{},)"
      R"("sampled":{},"found":{}}})"
      "\n",
      index->ntotal, index->d, metric, rows, vectors.dim(), sampled, found);
  return fits;
}

}  // namespace reef::libexec
