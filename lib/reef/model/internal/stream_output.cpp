#include "reef/model/internal/stream_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "reef/core/cancel.h"
#include "reef/core/error.h"

namespace reef::model::internal {
namespace {

constexpr int kPipeBytes = 1 << 20;  ///< what a user may ask for (fs.pipe-max-size)
constexpr const char* kConnectHint = "start the reader first: the stream is brought to it";

std::string reason(int error) { return std::strerror(error); }

void refuse_terminal(int fd, const std::string& name) {
  if (::isatty(fd) != 0)
    throw Error(Errc::usage, fmt::format("{} is a terminal, and a stream is no text", name),
                "pipe it into its reader, or name a file with -o");
}

/// Fewer changes between the two ends. Ends of other kinds, and users who have too many pipes, keep what they have.
void widen_pipe(int fd) { ::fcntl(fd, F_SETPIPE_SZ, kPipeBytes); }

void wait_until_writable(int fd) {
  pollfd poll{fd, POLLOUT, 0};
  if (::poll(&poll, 1, -1) < 0 && errno == EINTR) check_interrupt();
}

/// 0, or why not. A signal that is not ours does not end the attempt.
int connect_to(int fd, const sockaddr* address, socklen_t length) {
  if (::connect(fd, address, length) == 0) return 0;
  if (errno != EINTR) return errno;
  check_interrupt();
  wait_until_writable(fd);
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

StreamOutput::StreamOutput(const std::string& target, bool force) : name_(io::shown(target)), force_(force) {
  const auto behind = [&](std::string_view prefix) { return target.substr(prefix.size()); };
  if (target.empty()) throw Error(Errc::usage, "the target of a stream is empty", "'-' is standard output");
  if (target == "-") {
    open_stdout();
  } else if (target.starts_with("unix:")) {
    connect_unix(behind("unix:"));
  } else if (target.starts_with("tcp:")) {
    const std::string peer = behind("tcp:");
    const std::size_t colon = peer.rfind(':');
    std::string host = peer.substr(0, colon);
    const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (is_bracketed) host = host.substr(1, host.size() - 2);
    if (colon == std::string::npos || colon + 1 == peer.size() || host.empty() ||
        (!is_bracketed && host.find(':') != std::string::npos))
      throw Error(Errc::usage, fmt::format("{} is no address", name_), "it is tcp:HOST:PORT; IPv6 as tcp:[::1]:7000");
    connect_tcp(host, peer.substr(colon + 1));
  } else if (target.starts_with("shm:")) {
    const std::string object = behind("shm:");
    if (object.empty() || object.front() == '.' || object.find('/') != std::string::npos || object.size() > 200)
      throw Error(Errc::usage, fmt::format("{} is no name of shared memory", name_),
                  "it is shm:NAME, without '/' and not beginning with '.'");
    open_path(io::fs::path("/dev/shm") / object, 0600);
  } else {
    open_path(target, 0640);
  }
}

void StreamOutput::open_stdout() {
  name_ = "standard output";
  fd_ = STDOUT_FILENO;
  refuse_terminal(fd_, name_);
  widen_pipe(fd_);
}

void StreamOutput::open_path(const io::fs::path& path, unsigned mode) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode)) {
      if (!force_) fail_exists();
    } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
      own_ = io::open_file(path, O_WRONLY | O_NOCTTY);
      fd_ = own_.get();
      refuse_terminal(fd_, name_);
      widen_pipe(fd_);
      return;
    } else {
      throw Error(Errc::usage, fmt::format("{} is no file that a stream could be written to", name_),
                  S_ISSOCK(status.st_mode) ? fmt::format("a socket is named with unix:{}", io::shown(path)) : "");
    }
  }
  io::remove_stale_of(path);
  staged_.emplace(path, mode);
  fd_ = staged_->fd();
}

void StreamOutput::connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    throw Error(Errc::usage, fmt::format("{} is no path of a socket", name_),
                fmt::format("a path has 1 to {} bytes", sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.data(), path.size());
  own_ = io::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int error = own_ ? connect_to(own_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) : errno;
  if (error != 0) throw Error(Errc::failed, fmt::format("connect to {}: {}", name_, reason(error)), kConnectHint);
  fd_ = own_.get();
  is_socket_ = true;
}

void StreamOutput::connect_tcp(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    throw Error(Errc::failed, fmt::format("find {}: {}", name_, ::gai_strerror(error)), "check host and port");
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    check_interrupt();
    own_ = io::UniqueFd(::socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol));
    error = own_ ? connect_to(own_.get(), address->ai_addr, address->ai_addrlen) : errno;
    if (error == 0) break;
  }
  if (error != 0) throw Error(Errc::failed, fmt::format("connect to {}: {}", name_, reason(error)), kConnectHint);
  fd_ = own_.get();
  is_socket_ = true;
}

void StreamOutput::reserve(std::uint64_t bytes) {
  if (!staged_ || bytes == 0 || io::plain_io()) return;
  // The size stays what was written. Filesystems that cannot reserve find out while writing.
  if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return;
  if (errno == EINTR) check_interrupt();
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
    throw_errno(fmt::format("reserve {} bytes for", bytes), name_);
}

void StreamOutput::write(std::span<const std::uint8_t> head, std::span<const std::uint8_t> payload) {
  std::array<std::span<const std::uint8_t>, 2> rest{head, payload};
  while (!rest[0].empty() || !rest[1].empty()) {
    check_interrupt();
    std::array<iovec, 2> parts{};
    for (std::size_t i = 0; i < 2; ++i) parts[i] = {const_cast<std::uint8_t*>(rest[i].data()), rest[i].size()};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t count = is_socket_ ? ::sendmsg(fd_, &message, MSG_NOSIGNAL)
                                     : ::writev(fd_, parts.data(), static_cast<int>(parts.size()));
    if (count < 0) {
      if (errno == EAGAIN) wait_until_writable(fd_);
      if (errno == EAGAIN || errno == EINTR) continue;
      fail_write(errno);
    }
    written_ += static_cast<std::uint64_t>(count);
    auto done = static_cast<std::size_t>(count);
    for (auto& part : rest) {
      const std::size_t taken = std::min(done, part.size());
      part = part.subspan(taken);
      done -= taken;
    }
  }
}

void StreamOutput::finish() {
  if (!staged_) {
    if (own_) ::shutdown(own_.get(), SHUT_WR);  // ENOTSOCK for a pipe, whose closing says it
    own_.reset();
    return;
  }
  if (force_) {
    staged_->commit();
  } else if (!staged_->commit_new()) {
    fail_exists();
  }
}

void StreamOutput::fail_exists() const {
  throw Error(Errc::usage, fmt::format("{} exists", name_), "pass --force to replace it, or choose another name");
}

void StreamOutput::fail_write(int error) const {
  if (error == EPIPE || error == ECONNRESET)
    throw Error(Errc::failed, fmt::format("the reader of {} closed it after {} bytes", name_, written_),
                "see what the reader says; the stream begins anew with the next run");
  errno = error;
  throw_errno("write", name_);
}

}  // namespace reef::model::internal
