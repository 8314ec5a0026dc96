#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "reef/backup/archive_output.h"
#include "reef/backup/internal/archive_index.h"
#include "reef/backup/internal/frame.h"

namespace reef::backup::internal {

/// Compresses frames on threads of its own and writes them in order, whichever thread has the next one ready. Its
/// memory does not grow with the archive, but for 16 bytes a frame. All methods are for one thread, and throw what
/// failed on the others.
class FramePipeline {
 public:
  FramePipeline(ArchiveOutput& output, unsigned threads);
  FramePipeline(const FramePipeline&) = delete;
  FramePipeline& operator=(const FramePipeline&) = delete;
  ~FramePipeline();

  /// Memory for the next frame; waits while too many are under way.
  std::unique_ptr<FrameBuffer> take();
  void submit(std::unique_ptr<FrameBuffer> content);

  /// Frames submitted from here on are taken back by take_back(), until release(); then none of them.
  void hold();
  void release();
  void take_back();

  /// Waits for all that was submitted. Those written, in order.
  const std::vector<FrameInfo>& drain();

 private:
  struct Job {
    std::uint64_t number = 0;
    std::unique_ptr<FrameBuffer> content;
    std::unique_ptr<FrameBuffer> frame;
    bool is_taken = false;
    bool is_done = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  void work();
  void write_ready(Lock& lock);
  /// Waits for `condition` or an error, which it throws.
  template <typename Condition>
  void wait(Lock& lock, Condition condition);
  void fail() noexcept;
  std::unique_ptr<FrameBuffer> buffer();

  ArchiveOutput& output_;
  std::size_t most_jobs_;
  std::mutex mutex_;
  std::condition_variable to_do_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  ///< submitted and not yet written, in order; only ends move, so references stay
  std::vector<std::unique_ptr<FrameBuffer>> spare_;
  std::vector<FrameInfo> frames_;
  std::uint64_t submitted_ = 0;
  std::optional<std::uint64_t> held_from_;
  bool is_marked_ = false;
  bool is_writing_ = false;  ///< somebody uses the output
  bool stops_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> crew_;
};

}  // namespace reef::backup::internal
