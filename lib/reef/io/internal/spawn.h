#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "reef/io/process.h"
#include "reef/io/unique_handle.h"

namespace reef::io::internal {

inline constexpr std::size_t kErrorTextBytes = 4096;
/// Short enough that a signal that came just before poll() is seen soon.
inline constexpr std::chrono::milliseconds kLongestWait{100};

bool is_program(const std::filesystem::path& path);
/// Looked up here because the child of a threaded process may call next to nothing before exec.
/// Throws Error{not_found} when there is none.
std::filesystem::path find_program(const std::string& name);

/// Moves a descriptor above 2, where the child's dup2() calls cannot overwrite it.
UniqueFd above_standard(UniqueFd fd, const std::string& what);

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

/// Both ends closed by exec and above 2.
Pipe make_pipe();
void make_nonblocking(int fd);

/// What to run, its three standard descriptors, each above 2, and what it may use.
struct Launch {
  std::filesystem::path program;
  UniqueFd input;
  UniqueFd output;
  UniqueFd errors;
  ProcessLimits limits;
  bool dies_with_thread = true;  ///< the kernel kills it when the thread that started it ends
};

/// A running child, which does not outlive this object, nor do its own children.
class ChildProcess {
 public:
  explicit ChildProcess(pid_t pid);
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)), handle_(std::move(other.handle_)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess() {
    if (pid_ > 0) reap();
  }

  pid_t pid() const { return pid_; }
  /// Becomes readable when the child ends.
  int handle() const { return handle_.get(); }
  /// Ends the whole group and collects the child: its status as a shell shows it.
  int reap();

 private:
  pid_t pid_;
  UniqueFd handle_;
};

/// Starts the program (no shell) in a process group of its own. Throws when it cannot be started.
ChildProcess spawn(const std::vector<std::string>& argv, Launch launch);

enum class Keep { first, last };

/// Reads what is there; keeps 4 KiB of it, so that a child that complains without end neither
/// blocks nor fills memory. False at the end of the pipe.
bool drain(int fd, std::string& text, Keep keep);

/// Waits for the child, the wall limit (0: none) or a signal, draining `errors` meanwhile. True when
/// the limit was passed.
bool wait_for_end(const ChildProcess& child, int errors, std::chrono::milliseconds wall, std::string& text, Keep keep,
                  const std::function<void()>& meanwhile = {});

}  // namespace reef::io::internal
