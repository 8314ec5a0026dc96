// Token ids of the lines of a file, for tests/peers/tokenizer.py; with --time the speed instead.
//
//   tokenize MODEL_FOLDER FILE [MAX_TOKENS]    one line of ids for each line of FILE
//   tokenize --time MODEL_FOLDER FILE          one JSON line: bulk speed, and one question with the block just opened
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/error.h"
#include "reef/embed/tokenizer.h"
#include "reef/embed/vocabulary.h"
#include "reef/io/file.h"

namespace {

/// CPU time, so that a busy machine measures the same.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void print_ids(const reef::embed::Tokenizer& tokenizer, std::string_view text, std::size_t max_tokens) {
  for (const std::string_view line : lines_of(text)) {
    fmt::print("{}\n", fmt::join(tokenizer.encode(line, max_tokens), " "));
  }
}

void print_speed(std::span<const std::uint8_t> block, std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  std::vector<double> passes;
  std::size_t tokens = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const reef::embed::Tokenizer tokenizer(block);
    const double begin = cpu_seconds();
    tokens = 0;
    for (const std::string_view line : lines) tokens += tokenizer.encode(line, SIZE_MAX).size();
    passes.push_back(cpu_seconds() - begin);
  }
  constexpr std::string_view kQuestion =
      "Which of the proposals did the committee finally choose after the long meeting?";
  constexpr int kQuestions = 20000;
  std::size_t question_tokens = 0;
  const double begin = cpu_seconds();
  for (int i = 0; i < kQuestions; ++i) question_tokens += reef::embed::Tokenizer(block).encode(kQuestion, 256).size();
  const double question = (cpu_seconds() - begin) / kQuestions;
  std::sort(passes.begin(), passes.end());
  fmt::print(
      "{{\"bench\":\"tokenize\",\"bytes\":{},\"tokens\":{},\"question_tokens\":{},\"mb_per_second\":{:.1f},\"question_"
      "microseconds\":{:.2f}}}"
      "\n",
      text.size(), tokens, question_tokens / kQuestions,
      static_cast<double>(text.size()) / 1e6 / passes[passes.size() / 2], question * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool timed = !arguments.empty() && arguments[0] == "--time";
  if (arguments.size() < 2 || (timed && arguments.size() != 3) || arguments.size() > 3) {
    fmt::print(stderr, "usage: tokenize [--time] MODEL_FOLDER FILE [MAX_TOKENS]\n");
    return 2;
  }
  try {
    const std::size_t first = timed ? 1 : 0;
    const std::vector<std::uint8_t> block = reef::embed::compile_vocabulary(arguments[first]);
    const std::string text = reef::io::read_file(arguments[first + 1]);
    if (timed) {
      print_speed(block, text);
    } else {
      const std::size_t max_tokens =
          arguments.size() == 3 ? std::strtoull(arguments[2].c_str(), nullptr, 10) : SIZE_MAX;
      print_ids(reef::embed::Tokenizer(block), text, max_tokens);
    }
  } catch (const reef::Error& e) {
    fmt::print(stderr, "tokenize: error: {}\n", e.what());
    return reef::exit_status(e.code());
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
