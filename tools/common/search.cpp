#include "common/search.h"

#include <malloc.h>

#include <cerrno>
#include <iostream>
#include <iterator>

#include "common/batch_lines.h"
#include "reef/core/time.h"

namespace reef::tool {
namespace {

retrieve::Mode parse_mode(const std::string& text) {
  if (text == "dense") return retrieve::Mode::dense;
  if (text == "bm25") return retrieve::Mode::bm25;
  return retrieve::Mode::hybrid;
}

}  // namespace

void add_search(CLI::App& verb, const std::shared_ptr<SearchChoice>& choice, const std::string& untouched) {
  verb.add_option("text", choice->text, "The question, or - for stdin")->type_name("TEXT");
  cli::add_count(verb, "-k", choice->count, "Results (default: 10)");
  verb.add_option_function<std::string>(
          "--mode", [choice](const std::string& text) { choice->mode = parse_mode(text); },
          "Search by vectors and words, or by one of them")
      ->check(CLI::IsMember({"hybrid", "dense", "bm25"}))
      ->type_name("MODE");
  verb.add_option("--batch", choice->batch, "Questions from a file of {id,text[,persona]} lines; answers as JSON lines")
      ->type_name("FILE");
  verb.add_flag("--no-touch", choice->no_touch, untouched);
}

std::string question_text(const std::string& operand) {
  if (operand != "-") return operand;
  errno = 0;
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  require_end(std::cin, operand);
  return text;
}

void LatencyRecord::add(double elapsed_ms) {
  if (!wanted_) return;
  cli::Session::flush();
  histogram_.record(now(), std::chrono::microseconds(static_cast<std::int64_t>(elapsed_ms * 1000)));
}

void prepare_heap() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TOP_PAD, 4 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

}  // namespace reef::tool
