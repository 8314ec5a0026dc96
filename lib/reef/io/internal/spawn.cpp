#include "reef/io/internal/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr unsigned kCloseRangeCloexec = 1U << 2;  // CLOSE_RANGE_CLOEXEC of linux/close_range.h

/// Everything the child needs, made before fork(): between fork and exec of a process that has
/// threads only async-signal-safe calls are allowed, and memory cannot be allocated.
struct Prepared {
  std::vector<char*> argv;
  UniqueFd report;  ///< closed by a successful exec, else carries its errno
  pid_t parent = 0;
};

bool limit(int resource, rlim_t soft, rlim_t hard) {
  const rlimit value{soft, hard};
  return ::setrlimit(static_cast<__rlimit_resource_t>(resource), &value) == 0;
}

bool apply(const ProcessLimits& limits) {
  // Soft one second before hard: SIGXCPU first, for programs that clean up.
  const auto cpu = static_cast<rlim_t>(limits.cpu.count());
  return limit(RLIMIT_CORE, 0, 0) && (cpu == 0 || limit(RLIMIT_CPU, cpu, cpu + 1)) &&
         (limits.memory_bytes == 0 || limit(RLIMIT_AS, limits.memory_bytes, limits.memory_bytes)) &&
         (limits.output_bytes == 0 || limit(RLIMIT_FSIZE, limits.output_bytes, limits.output_bytes));
}

bool prepare_child(const Launch& launch, const Prepared& prepared) {
  ::setpgid(0, 0);
  if (launch.dies_with_thread && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return false;
  if (::getppid() != prepared.parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);  // exec keeps what is ignored
  // What this process inherited or a library opened without O_CLOEXEC. Linux 5.11; best effort.
  ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, kCloseRangeCloexec);
  return ::dup2(launch.input.get(), STDIN_FILENO) >= 0 && ::dup2(launch.output.get(), STDOUT_FILENO) >= 0 &&
         ::dup2(launch.errors.get(), STDERR_FILENO) >= 0 && apply(launch.limits);
}

[[noreturn]] void run_child(const Launch& launch, const Prepared& prepared) {
  if (prepare_child(launch, prepared)) ::execv(launch.program.c_str(), prepared.argv.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(prepared.report.get(), &error, sizeof error);
  ::_exit(127);
}

/// The errno of a child that did not come as far as its program; nullopt when it did.
std::optional<int> launch_error(int report) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(report, &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count != static_cast<ssize_t>(sizeof error)) return std::nullopt;
  return error;
}

}  // namespace

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

fs::path find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) != 0) throw_errno("run", shown(name));
    return name;
  }
  const char* variable = std::getenv("PATH");
  std::string_view folders = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    fs::path candidate = fs::path(folders.substr(0, end)) / name;
    if (end > 0 && is_program(candidate)) return candidate;
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  throw Error(Errc::not_found, fmt::format("run {}: there is no such program in PATH", shown(name)),
              "install the package that brings it");
}

UniqueFd above_standard(UniqueFd fd, const std::string& what) {
  if (fd.get() > STDERR_FILENO) return fd;
  UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved) throw_errno("open", what);
  return moved;
}

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("create", "a pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  pipe.read = above_standard(std::move(pipe.read), "a pipe");
  pipe.write = above_standard(std::move(pipe.write), "a pipe");
  return pipe;
}

void make_nonblocking(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw_errno("set up", "a pipe");
}

ChildProcess::ChildProcess(pid_t pid) : pid_(pid) {
  ::setpgid(pid, pid);  // the child does the same: whoever is first
  // By number: the header of glibc 2.36 declares the function for C only.
  handle_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

int ChildProcess::reap() {
  // Before waitpid: until then the number of the group cannot belong to anybody else.
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // in case it was not in its group yet
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

ChildProcess spawn(const std::vector<std::string>& argv, Launch launch) {
  Prepared prepared;
  for (const std::string& argument : argv) prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  prepared.argv.push_back(nullptr);
  prepared.parent = ::getpid();
  Pipe report = make_pipe();
  prepared.report = std::move(report.write);

  const pid_t pid = ::fork();
  if (pid < 0) throw_errno("start", shown(launch.program));
  if (pid == 0) run_child(launch, prepared);
  ChildProcess child(pid);
  prepared.report.reset();
  if (const auto error = launch_error(report.read.get())) {
    errno = *error;
    throw_errno("run", shown(launch.program));
  }
  if (child.handle() < 0) throw_errno("watch", shown(launch.program));
  return child;
}

bool drain(int fd, std::string& text, Keep keep) {
  std::array<char, kErrorTextBytes> piece;
  while (true) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    text.append(piece.data(), static_cast<std::size_t>(count));
    if (text.size() <= kErrorTextBytes) continue;
    if (keep == Keep::last) text.erase(0, text.size() - kErrorTextBytes);
    text.resize(kErrorTextBytes);
  }
}

bool wait_for_end(const ChildProcess& child, int errors, milliseconds wall, std::string& text, Keep keep,
                  const std::function<void()>& meanwhile) {
  const auto start = steady_clock::now();
  std::array<pollfd, 2> watched{{{child.handle(), POLLIN, 0}, {errors, POLLIN, 0}}};
  while (true) {
    check_interrupt();
    if (meanwhile) meanwhile();
    milliseconds pause = kLongestWait;
    if (wall.count() > 0) {
      const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
      if (passed >= wall) return true;
      pause = std::min(pause, wall - passed);
    }
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(pause.count()));
    if (ready < 0 && errno != EINTR) throw_errno("wait for", "a child process");
    if (ready <= 0) continue;
    // A negative descriptor is skipped: closed by the child while it runs on.
    if (watched[1].revents != 0 && !drain(errors, text, keep)) watched[1].fd = -1;
    if (watched[0].revents != 0) return false;
  }
}

}  // namespace reef::io::internal
