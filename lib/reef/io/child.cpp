#include "reef/io/child.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/spawn.h"

namespace reef::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// The child's stdin is a socket: of all descriptors, only on those can a write be kept from raising SIGPIPE.
internal::Pipe make_input() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw_errno("create", "a socket");
  internal::Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  pipe.read = internal::above_standard(std::move(pipe.read), "a socket");
  pipe.write = internal::above_standard(std::move(pipe.write), "a socket");
  return pipe;
}

bool try_again() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

struct Child::State {
  std::string name;
  UniqueFd input;
  UniqueFd output;
  UniqueFd errors;
  std::string error_text;
  std::optional<internal::ChildProcess> process;

  /// Sends what fits; everything once the child reads no more.
  std::size_t send(std::string_view bytes) {
    const ssize_t count = ::send(input.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (try_again()) return 0;
    if (errno != EPIPE && errno != ECONNRESET) throw_errno("write to", name);
    input.reset();
    return bytes.size();
  }

  std::size_t receive(std::span<char> into) {
    const ssize_t count = ::read(output.get(), into.data(), into.size());
    if (count < 0 && !try_again()) throw_errno("read from", name);
    if (count == 0) output.reset();
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  void take_errors() {
    if (!internal::drain(errors.get(), error_text, internal::Keep::last)) errors.reset();
  }
};

Child::Child(const std::vector<std::string>& argv, const ChildOptions& options) : state_(std::make_unique<State>()) {
  if (argv.empty()) throw Error(Errc::usage, "run: no program given");
  check_interrupt();
  internal::Launch launch;
  launch.program = internal::find_program(argv.front());
  launch.limits = options.limits;
  launch.dies_with_thread = options.dies_with_thread;
  internal::Pipe input = make_input();
  internal::Pipe output = internal::make_pipe();
  internal::Pipe errors = internal::make_pipe();
  launch.input = std::move(input.read);
  launch.output = std::move(output.write);
  launch.errors = std::move(errors.write);
  internal::make_nonblocking(output.read.get());
  internal::make_nonblocking(errors.read.get());
  state_->name = shown(launch.program.filename());
  state_->input = std::move(input.write);
  state_->output = std::move(output.read);
  state_->errors = std::move(errors.read);
  state_->process.emplace(internal::spawn(argv, std::move(launch)));
}

Child::~Child() = default;

Child::Moved Child::transfer(std::string_view question, std::span<char> answer, std::size_t wanted,
                             bool stops_when_full, milliseconds limit) {
  State& s = *state_;
  const auto start = steady_clock::now();
  std::size_t sent = s.input ? 0 : question.size();
  std::size_t got = 0;
  while (s.output && (sent < question.size() || got < wanted) && !(stops_when_full && got == answer.size())) {
    check_interrupt();
    milliseconds pause = internal::kLongestWait;
    if (limit.count() > 0) {
      const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
      if (passed >= limit) {
        throw Error(Errc::failed, fmt::format("{} did not answer within {} ms", s.name, limit.count()));
      }
      pause = std::min(pause, limit - passed);
    }
    // poll() skips negative descriptors: what is closed, and what there is nothing to do with.
    std::array<pollfd, 3> watched{{{sent < question.size() ? s.input.get() : -1, POLLOUT, 0},
                                   {got < answer.size() ? s.output.get() : -1, POLLIN, 0},
                                   {s.errors.get(), POLLIN, 0}}};
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(pause.count()));
    if (ready < 0 && errno != EINTR) throw_errno("wait for", s.name);
    if (ready <= 0) continue;
    if (watched[0].revents != 0) sent += s.send(question.substr(sent));
    if (watched[2].revents != 0) s.take_errors();
    if (watched[1].revents != 0) got += s.receive(answer.subspan(got));
  }
  return {sent, got};
}

std::size_t Child::exchange(std::string_view question, std::span<char> answer, milliseconds limit) {
  return transfer(question, answer, answer.size(), false, limit).got;
}

std::size_t Child::read_some(std::span<char> into, milliseconds limit) {
  return transfer({}, into, std::min<std::size_t>(into.size(), 1), false, limit).got;
}

bool Child::feed(std::string_view bytes, const std::function<void(std::string_view)>& take, milliseconds limit) {
  std::array<char, std::size_t{64} << 10> piece;
  while (!bytes.empty()) {
    const Moved moved = transfer(bytes, piece, 0, true, limit);
    bytes.remove_prefix(moved.sent);
    if (moved.got > 0) take({piece.data(), moved.got});
    if (!state_->input) return false;  // "sent" is then what nobody read
    if (!state_->output) return bytes.empty();
  }
  return true;
}

void Child::close_input() { state_->input.reset(); }

int Child::finish(milliseconds limit) {
  State& s = *state_;
  s.input.reset();
  s.output.reset();
  internal::wait_for_end(*s.process, s.errors.get(), limit, s.error_text, internal::Keep::last);
  const int status = s.process->reap();
  if (s.errors) s.take_errors();
  return status;
}

const std::string& Child::error_text() const { return state_->error_text; }

}  // namespace reef::io
