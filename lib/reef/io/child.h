#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/process.h"

namespace reef::io {

struct ChildOptions {
  ProcessLimits limits;  ///< all but `wall`: each call has a limit of its own
  /// False for a child that threads share or hand on: the kernel then does not kill it together with
  /// the thread that started it, so it must be a program that ends when its stdin does.
  bool dies_with_thread = true;
};

/// A helper that is spoken to through its stdin and stdout for as long as the object lives, where
/// run_process() runs one to its end. It has a process group of its own and no descriptors of ours;
/// the destructor ends the whole group. One thread at a time.
///
/// All calls return early, with Error{interrupted}, when a signal is pending, and throw Error{failed}
/// once `limit` (0: none) has passed. After an exception the conversation is out of step and the
/// object fit only to be destroyed. A child that ends raises no SIGPIPE here.
class Child {
 public:
  /// Starts argv as run_process() does, with the same errors.
  explicit Child(const std::vector<std::string>& argv, const ChildOptions& options = {});
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  /// Writes `question` and fills `answer`, both at once, so that neither side waits for the other.
  /// Returns how many bytes came: fewer than asked for when the child closed its stdout or ended.
  std::size_t exchange(std::string_view question, std::span<char> answer, std::chrono::milliseconds limit);
  /// Waits for at least one byte; 0 when the child closed its stdout or ended.
  std::size_t read_some(std::span<char> into, std::chrono::milliseconds limit);
  /// Sends all of `bytes`, and hands what the child writes meanwhile to `take`, in pieces. False when the child closed
  /// its stdout or ended before it had them all.
  bool feed(std::string_view bytes, const std::function<void(std::string_view)>& take, std::chrono::milliseconds limit);
  /// The child's stdin ends here; what it has still to say comes with read_some().
  void close_input();
  /// Closes both pipes and waits for the end; a child that takes longer than `limit` is killed, and
  /// what it left running in any case. Returns the exit status, or 128 + signal. Ends the conversation.
  int finish(std::chrono::milliseconds limit);

  /// The last 4 KiB of its stderr, as far as calls have met them; all of it after finish().
  const std::string& error_text() const;

 private:
  struct State;
  struct Moved {
    std::size_t sent = 0;
    std::size_t got = 0;
  };
  /// Until all is sent and so much has come that was wanted; or, with `stops_when_full`, until `answer` is full.
  Moved transfer(std::string_view question, std::span<char> answer, std::size_t wanted, bool stops_when_full,
                 std::chrono::milliseconds limit);

  std::unique_ptr<State> state_;
};

}  // namespace reef::io
