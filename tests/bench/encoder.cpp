// The local encoder on a real model, for tests/peers/encoder.py. Each mode prints one JSON line.
//
//   encoder vectors MODEL CACHE query|bulk|reference LINES OUT [THREADS]
//       one vector (raw float32) per line of LINES to OUT
//   encoder bulk MODEL CACHE LINES CHUNKS [THREADS]
//       tokens/s on passages of exactly 128 tokens, which it writes to CHUNKS, one a line
//   encoder cold MODEL CACHE RUNS [drop]
//       one question in RUNS fresh processes; with "drop" the model is out of the page cache
//   encoder warm MODEL CACHE
//       the same question again and again in one process
// MODEL is a folder; pooling "cls" is taken for bge models, by the folder's name. REEF_ISA lowers
// the instruction set, as everywhere.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"
#include "reef/embed/encoder.h"
#include "reef/io/file.h"

extern char** environ;

namespace {

using reef::embed::Embedder;
using Arguments = std::span<char*>;

constexpr const char* kQuestion = "when did caroline go to the lgbtq support group meeting";
constexpr std::size_t kChunk = 128;

double seconds_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}
double wall() { return seconds_of(CLOCK_MONOTONIC); }
double cpu() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// The dimension, without a JSON parser in the way of start-up times.
std::size_t dimension_of(const std::filesystem::path& folder) {
  const std::string config = reef::io::read_file(folder / "config.json");
  const std::string_view key = "\"hidden_size\":";
  const std::size_t at = config.find(key);
  return at == std::string::npos ? 0 : std::strtoul(config.c_str() + at + key.size(), nullptr, 10);
}

reef::model::EmbeddingModel model_in(const std::filesystem::path& folder, std::size_t max_tokens) {
  reef::model::EmbeddingModel model;
  model.name = folder.filename().string();
  model.folder = folder;
  model.dim = dimension_of(folder);
  model.max_tokens = max_tokens;
  if (model.name.find("bge") != std::string::npos) model.pooling = reef::model::Pooling::cls;
  return model;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

unsigned threads_of(Arguments arguments, std::size_t position) {
  return arguments.size() > position ? static_cast<unsigned>(std::strtoul(arguments[position], nullptr, 10)) : 2;
}

int write_vectors(Arguments arguments) {
  const auto model = model_in(arguments[0], 256);
  const std::string_view way = arguments[2];
  const std::unique_ptr<Embedder> embedder =
      way == "reference" ? reef::embed::open_reference_encoder(model) : reef::embed::open_encoder(arguments[1], model);
  const std::vector<std::string> lines = lines_of(arguments[3]);
  std::vector<float> vectors(lines.size() * model.dim);
  const double begin = wall();
  if (way == "query") {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      embedder->embed_query(lines[i], std::span(vectors).subspan(i * model.dim, model.dim));
    }
  } else {
    const std::vector<std::string_view> texts(lines.begin(), lines.end());
    embedder->embed_passages(texts, vectors, threads_of(arguments, 5), reef::no_progress());
  }
  const double end = wall();
  reef::io::replace_file(arguments[4], {reinterpret_cast<const char*>(vectors.data()), vectors.size() * sizeof(float)});
  fmt::print("{{\"mode\":\"{}\",\"texts\":{},\"dim\":{},\"seconds\":{:.3f},\"digest\":\"{}\"}}\n", way, lines.size(),
             model.dim, end - begin, embedder->identity().digest);
  return 0;
}

/// Lines joined until they fill a chunk; the encoder cuts each at exactly kChunk tokens.
std::vector<std::string> chunks_of(const Embedder& embedder, const std::vector<std::string>& lines) {
  std::vector<std::string> chunks;
  std::string chunk;
  std::size_t tokens = 0;
  for (const std::string& line : lines) {
    chunk += line + ' ';
    tokens += embedder.count_tokens(line);
    if (tokens < kChunk - 2) continue;
    chunks.push_back(std::move(chunk));
    chunk.clear();
    tokens = 0;
  }
  return chunks;
}

int measure_bulk(Arguments arguments) {
  const auto model = model_in(arguments[0], kChunk);
  const std::unique_ptr<Embedder> embedder = reef::embed::open_encoder(arguments[1], model);
  const std::vector<std::string> chunks = chunks_of(*embedder, lines_of(arguments[2]));
  std::ofstream file(arguments[3]);
  for (const std::string& chunk : chunks) file << chunk << '\n';
  const std::vector<std::string_view> texts(chunks.begin(), chunks.end());
  std::vector<float> vectors(chunks.size() * model.dim);
  const unsigned threads = threads_of(arguments, 4);
  double best_wall = 1e9;
  double best_cpu = 1e9;
  for (int run = 0; run < 5; ++run) {
    const double wall_begin = wall();
    const double cpu_begin = cpu();
    embedder->embed_passages(texts, vectors, threads, reef::no_progress());
    best_wall = std::min(best_wall, wall() - wall_begin);
    best_cpu = std::min(best_cpu, cpu() - cpu_begin);
  }
  const auto tokens = static_cast<double>(chunks.size() * kChunk);
  fmt::print(
      "{{\"mode\":\"bulk\",\"chunks\":{},\"threads\":{},\"tokens_per_second\":{:.0f},\"tokens_per_cpu_second\":{:.0f}}}"
      "\n",
      chunks.size(), threads, tokens / best_wall, tokens / best_cpu);
  return 0;
}

int measure_warm(Arguments arguments) {
  const auto model = model_in(arguments[0], 256);
  const std::unique_ptr<Embedder> embedder = reef::embed::open_encoder(arguments[1], model);
  std::vector<float> vector(model.dim);
  std::vector<double> times;
  for (int run = 0; run < 200; ++run) {
    const double begin = wall();
    embedder->embed_query(kQuestion, vector);
    times.push_back((wall() - begin) * 1e3);
  }
  fmt::print("{{\"mode\":\"warm\",\"tokens\":{},\"best_ms\":{:.3f},\"median_ms\":{:.3f}}}\n",
             embedder->count_tokens(kQuestion) + 2, *std::min_element(times.begin(), times.end()), median(times));
  return 0;
}

/// What a child of `cold` does: one question; prints when it reached which step.
int answer_once(Arguments arguments) {
  const double main_begin = wall();
  auto model = model_in(arguments[0], 256);
  const std::unique_ptr<Embedder> embedder = reef::embed::open_encoder(arguments[1], model);
  const double opened = wall();
  std::vector<float> vector(model.dim);
  embedder->embed_query(kQuestion, vector);
  const double end = wall();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print("{:.9f} {:.9f} {:.9f} {} {}\n", main_begin, opened, end, usage.ru_minflt, usage.ru_maxrss);
  return 0;
}

std::string output_of(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2];
  if (::pipe(ends) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addclose(&actions, ends[0]);
  pid_t child = 0;
  const int failed = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string output(4096, '\0');
  const ssize_t count = failed != 0 ? 0 : ::read(ends[0], output.data(), output.size());
  output.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  ::close(ends[0]);
  if (failed == 0) ::waitpid(child, nullptr, 0);
  return output;
}

void drop_from_page_cache(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

int measure_cold(Arguments arguments) {
  const bool drop = arguments.size() > 3 && std::string_view(arguments[3]) == "drop";
  const auto model = model_in(arguments[0], 256);
  reef::embed::open_encoder(arguments[1], model);  // compiled by now
  const std::filesystem::path compiled = reef::embed::compiled_path(arguments[1], model);
  std::vector<double> total;
  std::vector<double> start;
  std::vector<double> open;
  std::vector<double> embed;
  std::vector<double> faults;
  double resident = 0;
  for (long run = std::strtol(arguments[2], nullptr, 10); run > 0; --run) {
    if (drop) drop_from_page_cache(compiled);
    const double begin = wall();
    const std::string output = output_of({"encoder", "once", arguments[0], arguments[1]});
    double at_main = 0;
    double opened = 0;
    double end = 0;
    double fault = 0;
    if (std::sscanf(output.c_str(), "%lf %lf %lf %lf %lf", &at_main, &opened, &end, &fault, &resident) != 5) return 1;
    total.push_back((end - begin) * 1e3);
    start.push_back((at_main - begin) * 1e3);
    open.push_back((opened - at_main) * 1e3);
    embed.push_back((end - opened) * 1e3);
    faults.push_back(fault);
  }
  std::vector<double> sorted = total;
  std::sort(sorted.begin(), sorted.end());
  fmt::print(
      "{{\"mode\":\"cold\",\"dropped\":{},\"runs\":{},\"start_to_vector_ms\":{:.2f},\"p90_ms\":{:.2f},\"exec_ms\":{:."
      "2f},"
      "\"open_ms\":{:.2f},\"embed_ms\":{:.2f},\"faults\":{:.0f},\"resident_kib\":{:.0f}}}\n",
      drop, total.size(), median(total), sorted[sorted.size() * 9 / 10], median(start), median(open), median(embed),
      median(faults), resident);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  const std::string_view mode = count > 1 ? values[1] : "";
  const Arguments arguments(values + std::min(count, 2), static_cast<std::size_t>(std::max(count - 2, 0)));
  try {
    if (mode == "vectors" && arguments.size() >= 5) return write_vectors(arguments);
    if (mode == "bulk" && arguments.size() >= 4) return measure_bulk(arguments);
    if (mode == "cold" && arguments.size() >= 3) return measure_cold(arguments);
    if (mode == "warm" && arguments.size() >= 2) return measure_warm(arguments);
    if (mode == "once" && arguments.size() >= 2) return answer_once(arguments);
  } catch (const reef::Error& error) {
    fmt::print(stderr, "encoder: {}\n", error.what());
    return exit_status(error.code());
  }
  std::fputs("usage: see the head of tests/bench/encoder.cpp\n", stderr);
  return 2;
}
