#include "reef/io/read_queue.h"

#include <liburing.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"

namespace reef::io {
namespace {

/// A read under way; a short one goes on where it ended.
struct Slot {
  ReadRequest request;
  std::size_t done = 0;
  bool is_direct = false;  ///< how it was started: another read may find meanwhile that direct ones are refused

  void begin() { is_direct = request.file->is_direct(); }
  int fd() const { return is_direct ? request.file->direct_fd() : request.file->plain_fd(); }
  /// Direct reads are of whole sectors; the last one of a file ends early.
  std::size_t wanted() const {
    const std::size_t rest = request.bytes - done;
    return is_direct ? (rest + DirectFile::kSector - 1) / DirectFile::kSector * DirectFile::kSector : rest;
  }
  std::uint8_t* into() const { return request.into + done; }
  std::uint64_t offset() const { return request.offset + done; }

  enum class State { done, again, failed };
  /// Takes what read(2) said: a count, or minus an errno, which is then in `error`.
  State take(std::int64_t result, int& error) {
    if (result == -EINTR || result == -EAGAIN) return State::again;
    if (result == -EINVAL && is_direct) {
      request.file->refuse_direct();
      return State::again;
    }
    if (result <= 0) {
      error = result == 0 ? ENODATA : static_cast<int>(-result);
      return State::failed;
    }
    const std::size_t before = done;
    done = std::min(request.bytes, done + static_cast<std::size_t>(result));
    if (done < request.bytes) {
      if (!is_direct) return State::again;
      done -= done % DirectFile::kSector;  // a direct read cannot begin inside a sector
      if (done > before) return State::again;
      error = ENODATA;  // less than a sector: the file ends here
      return State::failed;
    }
    if (!is_direct) request.file->forget(request.offset, request.bytes);
    return State::done;
  }
};

}  // namespace

class ReadQueue::Backend {
 public:
  virtual ~Backend() = default;
  virtual void start(std::size_t slot, const ReadRequest& request) = 0;
  virtual std::size_t in_flight() const = 0;
  virtual ReadDone wait() = 0;
};

class ReadQueue::Uring : public ReadQueue::Backend {
 public:
  /// `error`: why there is no ring, or 0.
  Uring(std::size_t depth, int& error) : slots_(depth) {
    error = -::io_uring_queue_init(static_cast<unsigned>(depth), &ring_, 0);
    has_ring_ = error == 0;
  }
  ~Uring() override {
    if (!has_ring_) return;
    while (in_flight_ > 0) {
      io_uring_cqe* completion = nullptr;
      const int error = ::io_uring_submit_and_wait(&ring_, 1);
      if (error < 0 && error != -EINTR) break;
      while (::io_uring_peek_cqe(&ring_, &completion) == 0) {
        ::io_uring_cqe_seen(&ring_, completion);
        --in_flight_;
      }
    }
    ::io_uring_queue_exit(&ring_);
  }
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  void start(std::size_t slot, const ReadRequest& request) override {
    slots_[slot] = {request};
    submit(slot);
  }
  std::size_t in_flight() const override { return in_flight_; }

  ReadDone wait() override {
    while (true) {
      io_uring_cqe* completion = nullptr;
      const int error = ::io_uring_wait_cqe(&ring_, &completion);
      if (error == -EINTR) {
        check_interrupt();
        continue;
      }
      if (error < 0) throw Error(Errc::failed, std::string("io_uring_wait_cqe: ") + std::strerror(-error));
      const auto slot = static_cast<std::size_t>(::io_uring_cqe_get_data64(completion));
      const std::int64_t result = completion->res;
      ::io_uring_cqe_seen(&ring_, completion);
      --in_flight_;
      ReadDone done{slot, 0};
      if (slots_[slot].take(result, done.error) != Slot::State::again) return done;
      submit(slot);
    }
  }

 private:
  /// At once: a drive that waits for a full batch stands still meanwhile.
  void submit(std::size_t slot) {
    Slot& s = slots_[slot];
    s.begin();
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);  // never null: the ring has an entry for each slot
    ::io_uring_prep_read(entry, s.fd(), s.into(), static_cast<unsigned>(s.wanted()), s.offset());
    ::io_uring_sqe_set_data64(entry, slot);
    ++in_flight_;
    int submitted = 0;
    do {
      submitted = ::io_uring_submit(&ring_);
    } while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0) {
      --in_flight_;
      throw Error(Errc::failed, std::string("io_uring_submit: ") + std::strerror(-submitted));
    }
  }

  io_uring ring_{};
  bool has_ring_ = false;
  std::vector<Slot> slots_;
  std::size_t in_flight_ = 0;
};

class ReadQueue::Plain : public ReadQueue::Backend {
 public:
  void start(std::size_t slot, const ReadRequest& request) override { waiting_.push_back({slot, {request}}); }
  std::size_t in_flight() const override { return waiting_.size(); }

  ReadDone wait() override {
    auto [number, slot] = waiting_.front();
    waiting_.pop_front();
    ReadDone done{number, 0};
    while (true) {
      check_interrupt();
      slot.begin();
      const ssize_t count = ::pread(slot.fd(), slot.into(), slot.wanted(), static_cast<off_t>(slot.offset()));
      if (slot.take(count < 0 ? -errno : count, done.error) != Slot::State::again) return done;
    }
  }

 private:
  std::deque<std::pair<std::size_t, Slot>> waiting_;
};

ReadQueue::ReadQueue(std::size_t depth) {
  if (!plain_io()) {
    int error = 0;
    auto uring = std::make_unique<Uring>(depth, error);
    if (error == 0) {
      backend_ = std::move(uring);
      return;
    }
    static std::atomic<bool> said{false};
    if (!said.exchange(true)) log_step("io_uring is refused here ({}); reading with plain calls", std::strerror(error));
  }
  backend_ = std::make_unique<Plain>();
}

ReadQueue::~ReadQueue() = default;

void ReadQueue::start(std::size_t slot, const ReadRequest& request) { backend_->start(slot, request); }
std::size_t ReadQueue::in_flight() const { return backend_->in_flight(); }
ReadDone ReadQueue::wait() { return backend_->wait(); }

}  // namespace reef::io
