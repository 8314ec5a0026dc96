#include "common/search.h"

#include <malloc.h>

#include "reef/core/cancel.h"
#include "reef/core/log.h"
#include "reef/core/time.h"
#include "reef/core/units.h"
#include "reef/retrieve/query.h"

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
  verb.add_option_function<std::string>(
          "-k",
          [choice](const std::string& text) {
            choice->count = parse_count(text, "-k");
            if (choice->count == 0) throw Error(Errc::usage, "-k 0 asks for no result", "try -k 10");
          },
          "Results (default: 10)")
      ->type_name("N");
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
  return read_standard_input("a question");
}

int run_batch(const SearchChoice& choice, const std::function<void(const BatchLines&)>& answer) {
  int status = 0;
  for (BatchLines lines(*choice.batch); lines.next();) {
    check_interrupt();
    if (cli::Session::flush() != 0) break;
    std::string fault = lines.fault();
    if (fault.empty() && retrieve::is_blank(lines.text())) fault = "the question is empty";
    try {
      if (fault.empty()) answer(lines);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found && error.code() != Errc::usage) throw;
      fault = error.what();
    }
    if (fault.empty()) continue;
    log_warn("{}:{}: {}", *choice.batch, lines.number(), fault);
    status = kStatusPartial;
  }
  return status;
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
