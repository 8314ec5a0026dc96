// reef-faiss build FACTORY VECTORS.npy ROWS OUT [--threads N] [--seed S]
// reef-faiss graph VECTORS.npy ROWS OUT [--threads N]
// reef-faiss search INDEX K [--ef N] [--nprobe N]
// reef-faiss verify INDEX VECTORS.npy ROWS
//
// Any index that FAISS's index_factory knows, or a graph over floats that keeps 8-bit codes, over the first ROWS unit
// rows of a float32 matrix. A program of its own, so that no command pays for linking FAISS, BLAS and OpenMP, and
// because FAISS may crash on a damaged file.
//
// build, graph: lines "training N", "rows N" and "writing N" on stdout; OUT appears whole or not at all.
// search: frames on stdin and stdout as lib/reef/vector/internal/faiss_frames.h has them, until stdin ends: first
// "RFS1", u32 dim, u64 rows from here; then u32 count, u32 dim, count x dim float32 from there, and count x K times
// (i64 row, f32 inner product) from here, packed, row -1 where nothing was found.
// verify: one JSON line; whether each of 200 rows is among its own 10 nearest.
//
// The reason of a failure is one line on stderr, "reef-faiss: …", the last; statuses as in reef(7).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <vector>

#include "faiss_index.h"
#include "reef/core/error.h"

namespace {

using namespace reef;

constexpr const char* kUsage =
    "usage: reef-faiss build FACTORY VECTORS.npy ROWS OUT [--threads N] [--seed S] | "
    "graph VECTORS.npy ROWS OUT [--threads N] | search INDEX K [--ef N] [--nprobe N] | verify INDEX VECTORS.npy ROWS";

[[noreturn]] void wrong_usage() { throw Error(Errc::usage, kUsage); }

std::uint64_t number(const std::string& text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
    throw Error(Errc::usage, fmt::format("'{}' is no number from {} to {}", text, least, most));
  }
  return value;
}

struct Words {
  std::vector<std::string> operands;
  std::map<std::string, int> options;

  int option(const char* name, int otherwise) const {
    const auto found = options.find(name);
    return found != options.end() ? found->second : otherwise;
  }
};

/// Checks the number of operands and that only these options stand there.
Words parse(int argc, char** argv, std::size_t operands, const std::vector<std::string>& known) {
  Words words;
  for (int i = 2; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      words.operands.push_back(word);
    } else if (std::find(known.begin(), known.end(), word) != known.end() && i + 1 < argc) {
      words.options[word] = static_cast<int>(number(argv[++i], 0, INT32_MAX));
    } else {
      wrong_usage();
    }
  }
  if (words.operands.size() != operands) wrong_usage();
  return words;
}

/// True when the variable was something else.
bool set_variable(const char* name, const std::string& value) {
  const char* before = std::getenv(name);
  if (before && value == before) return false;
  return ::setenv(name, value.c_str(), 1) == 0;
}

/// Starts this program anew with the threads that a build is to have, unless it has them: OpenMP and OpenBLAS, which
/// has threads beside those, read the environment before main(). Threads of OpenMP wait in a loop for the next piece
/// of work, unless told to sleep: on a machine that is busy with other things that took twenty times the CPU time.
void take_threads(int count, char** argv) {
  bool changed = set_variable("OMP_WAIT_POLICY", "passive");
  if (count > 0) {
    changed |= set_variable("OMP_NUM_THREADS", std::to_string(count));
    changed |= set_variable("OPENBLAS_NUM_THREADS", std::to_string(count));
  }
  if (changed) ::execv("/proc/self/exe", argv);  // where it fails, the build is slower
}

int run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  constexpr std::uint64_t kMostRows = INT64_MAX;
  if (verb == "build") {
    const Words words = parse(argc, argv, 4, {"--threads", "--seed"});
    take_threads(words.option("--threads", 0), argv);
    libexec::build({words.operands[0], words.operands[1], number(words.operands[2], 0, kMostRows), words.operands[3],
                    words.option("--seed", 1234)});
    return 0;
  }
  if (verb == "graph") {
    const Words words = parse(argc, argv, 3, {"--threads"});
    take_threads(words.option("--threads", 0), argv);
    libexec::build_float_graph({"", words.operands[0], number(words.operands[1], 0, kMostRows), words.operands[2]});
    return 0;
  }
  if (verb == "search") {
    const Words words = parse(argc, argv, 2, {"--ef", "--nprobe"});
    const auto k = static_cast<std::uint32_t>(number(words.operands[1], 1, 1 << 20));
    libexec::answer(words.operands[0], k, {words.option("--ef", 0), words.option("--nprobe", 0)});
    return 0;
  }
  if (verb == "verify") {
    const Words words = parse(argc, argv, 3, {});
    return libexec::verify(words.operands[0], words.operands[1], number(words.operands[2], 0, kMostRows))
               ? 0
               : kStatusFault;
  }
  wrong_usage();
}

int run_and_report(int argc, char** argv) {
  std::string message;
  int status = exit_status(Errc::failed);
  try {
    return run(argc, argv);
  } catch (const Error& e) {
    message = e.what();
    status = exit_status(e.code());
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& e) {
    message = "FAISS: " + libexec::plain_message(e);
  }
  fmt::print(stderr, "reef-faiss: {}\n", message);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  int status = run_and_report(argc, argv);
  if (std::fflush(stdout) != 0 && status == 0) status = exit_status(Errc::failed);
  // Without destructors: libraries have threads waiting, and FAISS leaks what it had read of a damaged file, which a
  // leak checker need not hear of.
  ::_exit(status);
}
