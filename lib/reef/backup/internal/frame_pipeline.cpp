#include "reef/backup/internal/frame_pipeline.h"

#include <algorithm>
#include <system_error>

#include "reef/backup/internal/byte_order.h"
#include "reef/core/cancel.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {
namespace {

/// Compressed, an archive takes some 300 MB/s of content a core: more threads than this wait for the disk.
constexpr unsigned kMostThreads = 8;
constexpr std::chrono::milliseconds kLongestWait{100};

FrameInfo info_of(std::span<const std::uint8_t> frame, std::size_t content) {
  FrameInfo info;
  info.stored = static_cast<std::uint32_t>(frame.size());
  info.content = static_cast<std::uint32_t>(content);
  info.xxh3 = io::xxh3(frame);
  // A frame ends with the checksum of its content.
  for (std::size_t i = 0; i < 4; ++i) info.checksum |= std::uint32_t{frame[frame.size() - 4 + i]} << (8 * i);
  return info;
}

}  // namespace

FramePipeline::FramePipeline(ArchiveOutput& output, unsigned threads) : output_(output) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  threads = std::min(threads, kMostThreads);
  try {
    for (unsigned i = 0; i < threads; ++i) crew_.emplace_back(&FramePipeline::work, this);
  } catch (const std::system_error&) {
    if (crew_.empty()) throw;  // those that there are do it all
  }
  most_jobs_ = crew_.size() + 2;
}

FramePipeline::~FramePipeline() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  to_do_.notify_all();
  for (std::thread& thread : crew_) thread.join();
}

template <typename Condition>
void FramePipeline::wait(Lock& lock, Condition condition) {
  while (!error_ && !condition()) {
    check_interrupt();
    changed_.wait_for(lock, kLongestWait);
  }
  if (error_) std::rethrow_exception(error_);
}

std::unique_ptr<FrameBuffer> FramePipeline::buffer() {
  if (spare_.empty()) return std::make_unique<FrameBuffer>();
  std::unique_ptr<FrameBuffer> one = std::move(spare_.back());
  spare_.pop_back();
  one->size = 0;
  return one;
}

std::unique_ptr<FrameBuffer> FramePipeline::take() {
  Lock lock(mutex_);
  wait(lock, [&] { return jobs_.size() < most_jobs_; });
  return buffer();
}

void FramePipeline::submit(std::unique_ptr<FrameBuffer> content) {
  Lock lock(mutex_);
  if (error_) std::rethrow_exception(error_);
  Job job;
  job.number = submitted_++;
  job.content = std::move(content);
  job.frame = buffer();
  jobs_.push_back(std::move(job));
  lock.unlock();
  to_do_.notify_one();
}

void FramePipeline::hold() {
  const Lock lock(mutex_);
  held_from_ = submitted_;
}

void FramePipeline::release() {
  Lock lock(mutex_);
  wait(lock, [&] { return !is_writing_; });
  held_from_.reset();
  if (!is_marked_) return;
  is_writing_ = true;
  lock.unlock();
  try {
    output_.release();
  } catch (...) {
    fail();
  }
  lock.lock();
  is_marked_ = false;
  is_writing_ = false;
  write_ready(lock);
  if (error_) std::rethrow_exception(error_);
}

void FramePipeline::take_back() {
  Lock lock(mutex_);
  wait(lock, [&] { return jobs_.empty() && !is_writing_; });
  if (is_marked_) output_.rewind();
  if (held_from_) {
    submitted_ = *held_from_;
    frames_.resize(static_cast<std::size_t>(submitted_));
  }
  is_marked_ = false;
  held_from_.reset();
}

const std::vector<FrameInfo>& FramePipeline::drain() {
  Lock lock(mutex_);
  wait(lock, [&] { return jobs_.empty() && !is_writing_; });
  return frames_;
}

void FramePipeline::fail() noexcept {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::current_exception();
  changed_.notify_all();
}

void FramePipeline::write_ready(Lock& lock) {
  if (is_writing_) return;
  is_writing_ = true;
  while (!error_ && !stops_ && !jobs_.empty() && jobs_.front().is_done) {
    Job job = std::move(jobs_.front());
    const bool marks = held_from_ && job.number == *held_from_;
    if (marks) is_marked_ = true;
    lock.unlock();
    try {
      if (marks) output_.mark();
      output_.write(job.frame->content());
      const FrameInfo info = info_of(job.frame->content(), job.content->size);
      lock.lock();
      frames_.push_back(info);
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      if (!error_) error_ = std::current_exception();
    }
    jobs_.pop_front();
    spare_.push_back(std::move(job.content));
    spare_.push_back(std::move(job.frame));
    changed_.notify_all();
  }
  is_writing_ = false;
  changed_.notify_all();
}

void FramePipeline::work() {
  try {
    FrameCompressor compressor;
    while (true) {
      Lock lock(mutex_);
      const auto next = [&] {
        return std::find_if(jobs_.begin(), jobs_.end(), [](const Job& j) { return !j.is_taken; });
      };
      to_do_.wait(lock, [&] { return stops_ || next() != jobs_.end(); });
      if (stops_) return;
      Job& job = *next();
      job.is_taken = true;
      lock.unlock();
      compressor.compress(job.content->content(), *job.frame);
      lock.lock();
      job.is_done = true;
      write_ready(lock);
    }
  } catch (...) {
    fail();
  }
}

}  // namespace reef::backup::internal
