#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/batch_lines.h"
#include "reef/cli/app.h"
#include "reef/io/minute_histogram.h"
#include "reef/retrieve/fuse.h"
#include "reef/tree/tree.h"

namespace reef::tool {

/// What all searches have in common: reef-index query, reef-session search, reef-memory search.
struct SearchChoice {
  std::optional<std::string> text;
  std::optional<std::string> batch;
  std::optional<std::string> persona;
  std::uint64_t count = 10;
  retrieve::Mode mode = retrieve::Mode::hybrid;
  bool no_touch = false;
};
/// The operand, -k, --mode, --batch and --no-touch; `untouched` says what the last one leaves alone.
void add_search(CLI::App& verb, const std::shared_ptr<SearchChoice>& choice, const std::string& untouched);

/// The question that an operand stands for: itself, or with "-" all of stdin.
std::string question_text(const std::string& operand);

/// Puts each question of `choice.batch` to `answer`, which prints it. What cannot be asked (Error{usage}), and
/// questions for which there is nothing to search (Error{not_found}), are named with their lines; the status is then 3.
/// Ends early when nobody reads any more.
int run_batch(const SearchChoice& choice, const std::function<void(const BatchLines&)>& answer);

/// After an answer is out: how long it took, for reef-status. Never fails a query.
class LatencyRecord {
 public:
  LatencyRecord(const tree::Tree& tree, bool wanted) : histogram_(tree.query_latency()), wanted_(wanted) {}
  void add(double elapsed_ms);

 private:
  io::MinuteHistogram histogram_;
  bool wanted_;
};

/// One heap that grows in large steps: a second thread's own heap and many small steps cost a
/// question from a cold process half a millisecond of system calls.
void prepare_heap();

}  // namespace reef::tool
