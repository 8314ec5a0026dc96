// How long one question takes over a store of vectors, on one thread, with each instruction set.
// Prints one JSON object a line. Each row is a process of its own, since the set is chosen once.
//
//   bench_scan            all sizes, all sets
//   bench_scan ROWS DIM   that size with the set that REEF_ISA leaves
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../support/temp_dir.h"
#include "reef/core/units.h"
#include "reef/vector/kernels.h"
#include "reef/vector/scan.h"

namespace {

using namespace reef;
using namespace reef::vector;

constexpr std::size_t kResults = 10;
constexpr int kQuestions = 41;

/// Unit vectors around `rows / 125` centres; uniform noise, for making them is not what is timed.
void fill(std::span<float> values, std::size_t dim) {
  const std::size_t centres = std::max<std::size_t>(1, values.size() / dim / 125);
  std::minstd_rand generator(1);
  const auto uniform = [](std::minstd_rand& from) { return static_cast<float>(from()) / 2147483648.0f - 0.5f; };
  for (std::size_t at = 0; at < values.size(); at += dim) {
    std::minstd_rand centre(static_cast<unsigned>(generator() % centres + 2));
    const std::span<float> row = values.subspan(at, dim);
    for (float& x : row) x = uniform(centre) + 0.7f * uniform(generator);
    const float length = std::sqrt(kernels().inner_product(row.data(), row.data(), dim));
    for (float& x : row) x /= length;
  }
}

struct Times {
  std::vector<double> milliseconds;

  double at(double share) {
    std::sort(milliseconds.begin(), milliseconds.end());
    return milliseconds[static_cast<std::size_t>(share * static_cast<double>(milliseconds.size() - 1))];
  }
};

template <class Action>
Times time_questions(std::size_t count, Action action) {
  Times times;
  for (std::size_t q = 0; q < count; ++q) {
    const auto begin = std::chrono::steady_clock::now();
    action(q);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    times.milliseconds.push_back(took.count());
  }
  return times;
}

void measure(std::size_t rows, std::size_t dim) {
  const test::TempDir dir;
  std::vector<float> values((rows + kQuestions) * dim);
  fill(values, dim);
  const std::span<const float> base = std::span<const float>(values).first(rows * dim);
  write_npy(dir / "vectors.npy", base, dim);
  std::vector<std::uint8_t> encoded;
  encode_rows(base, dim, encoded);
  NpyAppender appender(dir / "codes.npy", codes_descr(dim), code_row_bytes(dim), 0);
  appender.append(encoded);
  appender.sync();
  const NpyMatrix vectors(dir / "vectors.npy");
  const CodeMatrix codes(dir / "codes.npy", dim);
  const auto question = [&](std::size_t q) { return std::span<const float>(values).subspan((rows + q) * dim, dim); };

  std::vector<std::uint64_t> tenth;
  for (std::uint64_t row = 0; row < rows; row += 10) tenth.push_back(row);
  std::vector<std::vector<Hit>> found(kQuestions), truth(kQuestions);
  Times first = time_questions(1, [&](std::size_t q) { scan(vectors, codes, question(q), kResults, 0, rows, {}); });
  Times scanned = time_questions(
      kQuestions, [&](std::size_t q) { found[q] = scan(vectors, codes, question(q), kResults, 0, rows, {}); });
  Times filtered = time_questions(kQuestions, [&](std::size_t q) {
    scan(vectors, codes, question(q), kResults, 0, rows, {&tenth, {}});
  });
  Times exact = time_questions(
      kQuestions, [&](std::size_t q) { truth[q] = scan_exact(vectors, question(q), kResults, 0, rows, {}); });
  std::size_t hits = 0;
  for (std::size_t q = 0; q < kQuestions; ++q) {
    for (const Hit& hit : truth[q]) {
      hits += std::any_of(found[q].begin(), found[q].end(), [&](const Hit& other) { return other.row == hit.row; });
    }
  }
  fmt::print(
      "{{\"bench\":\"scan\",\"isa\":\"{}\",\"rows\":{},\"dim\":{},\"k\":{},\"p50_ms\":{:.3f},\"p95_ms\":{:.3f},"
      "\"first_ms\":{:.3f},\"filtered_tenth_p50_ms\":{:.3f},\"exact_p50_ms\":{:.3f},\"recall_at_10\":{:.4f}}}\n",
      kernels().name, rows, dim, kResults, scanned.at(0.5), scanned.at(0.95), first.at(0), filtered.at(0.5),
      exact.at(0.5), static_cast<double>(hits) / (kQuestions * kResults));
}

/// This program again with REEF_ISA set; its exit status.
int run_with(const char* self, const std::string& isa, const std::string& rows, const std::string& dim) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("REEF_ISA", isa.c_str(), 1);
    ::execl(self, self, rows.c_str(), dim.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) {
    measure(parse_count(argv[1], "ROWS"), parse_count(argv[2], "DIM"));
    return 0;
  }
  for (const auto& [rows, dim] : {std::pair{"5183", "384"}, {"125000", "1024"}}) {
    for (const char* isa : {"", "avx2", "baseline"}) {
      if (const int status = run_with("/proc/self/exe", isa, rows, dim); status != 0) return status;
    }
  }
  return 0;
}
