#include "reef/backup/internal/frame_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"

namespace reef::backup::internal {
namespace {

constexpr unsigned kMostThreads = 8;
/// Kept of what was asked for last, for readers that go back a little or are several.
constexpr std::size_t kKept = 6;
constexpr std::chrono::milliseconds kLongestWait{100};

}  // namespace

FrameReader::FrameReader(const ArchiveSource& source, const FrameTable& table, unsigned threads)
    : source_(source), table_(table) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  threads = std::min(threads, kMostThreads);
  ahead_ = threads + 1;
  try {
    for (unsigned i = 0; i < threads; ++i) crew_.emplace_back(&FrameReader::work, this);
  } catch (const std::system_error&) {
    // EAGAIN: whoever asks for a frame reads it.
  }
}

FrameReader::~FrameReader() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  to_do_.notify_all();
  for (std::thread& thread : crew_) thread.join();
}

void FrameReader::plan(std::vector<std::size_t> frames) {
  {
    const std::lock_guard lock(mutex_);
    plan_ = std::move(frames);
    next_ = 0;
    wanted_ = 0;
  }
  to_do_.notify_all();
}

std::shared_ptr<const FrameBuffer> FrameReader::get(std::size_t frame) {
  Lock lock(mutex_);
  const auto planned = std::lower_bound(plan_.begin() + static_cast<std::ptrdiff_t>(wanted_), plan_.end(), frame);
  if (planned != plan_.end() && *planned == frame) {
    wanted_ = static_cast<std::size_t>(planned - plan_.begin()) + 1;
    next_ = std::max(next_, wanted_);
    to_do_.notify_all();
  }
  while (true) {
    const auto slot = slots_.find(frame);
    if (slot == slots_.end()) {
      fill(lock, frame);
    } else if (slot->second.is_done) {
      slot->second.used = ++uses_;
      if (slot->second.error) std::rethrow_exception(slot->second.error);
      return slot->second.content;
    } else {
      check_interrupt();
      done_.wait_for(lock, kLongestWait);
    }
  }
}

void FrameReader::read(std::uint64_t offset, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const std::size_t number = frame_of(table_, offset);
    const std::shared_ptr<const FrameBuffer> frame = get(number);
    const auto skipped = static_cast<std::size_t>(offset - table_.frames[number].begin);
    const std::size_t bytes = std::min(into.size(), frame->size - skipped);
    std::memcpy(into.data(), frame->bytes.data() + skipped, bytes);
    into = into.subspan(bytes);
    offset += bytes;
  }
}

std::string FrameReader::place(std::size_t frame) const {
  const FrameAt& at = table_.frames[frame];
  return fmt::format("frame {} of {}, bytes {}-{}", frame + 1, table_.frames.size(), at.offset,
                     at.offset + at.info.stored);
}

void FrameReader::forget_oldest() {
  while (slots_.size() > ahead_ + kKept) {
    auto oldest = slots_.end();
    for (auto slot = slots_.begin(); slot != slots_.end(); ++slot) {
      if (slot->second.is_done && (oldest == slots_.end() || slot->second.used < oldest->second.used)) oldest = slot;
    }
    if (oldest == slots_.end()) return;
    slots_.erase(oldest);
  }
}

void FrameReader::fill(Lock& lock, std::size_t frame) {
  Slot& slot = slots_[frame];  // nobody takes it away while it is not done
  slot.used = ++uses_;
  std::unique_ptr<Tools> tools;
  if (!tools_.empty()) {
    tools = std::move(tools_.back());
    tools_.pop_back();
  }
  lock.unlock();
  std::shared_ptr<const FrameBuffer> content;
  std::exception_ptr error;
  try {
    if (tools == nullptr) tools = std::make_unique<Tools>();
    content = load(frame, *tools);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  slot.content = std::move(content);
  slot.error = error;
  slot.is_done = true;
  if (tools != nullptr) tools_.push_back(std::move(tools));
  forget_oldest();
  done_.notify_all();
}

std::shared_ptr<FrameBuffer> FrameReader::buffer() {
  std::unique_ptr<FrameBuffer> one;
  {
    const std::lock_guard lock(pool_->mutex);
    if (!pool_->spare.empty()) {
      one = std::move(pool_->spare.back());
      pool_->spare.pop_back();
    }
  }
  if (one == nullptr) one = std::make_unique<FrameBuffer>();
  return {one.release(), [pool = pool_](FrameBuffer* used) {
            std::unique_ptr<FrameBuffer> owned(used);
            const std::lock_guard lock(pool->mutex);
            pool->spare.push_back(std::move(owned));
          }};
}

std::shared_ptr<const FrameBuffer> FrameReader::load(std::size_t frame, Tools& tools) {
  const FrameAt& at = table_.frames[frame];
  const auto refuse = [&](const std::string& what) {
    throw Error(Errc::corrupt, fmt::format("{}: {}: {}", source_.name(), place(frame), what));
  };
  if (at.info.stored > tools.stored.bytes.size()) refuse("it is larger than a frame can be");
  const std::span<std::uint8_t> stored{tools.stored.bytes.data(), at.info.stored};
  source_.read(at.offset, stored);
  if (at.has_xxh3 && io::xxh3(stored) != at.info.xxh3) refuse("its checksum is wrong");
  std::shared_ptr<FrameBuffer> content = buffer();
  const std::string fault = tools.decompressor.decompress(stored, at.info.content, content->bytes.data());
  if (!fault.empty()) refuse(fault);
  content->size = at.info.content;
  return content;
}

void FrameReader::work() {
  Lock lock(mutex_);
  while (true) {
    to_do_.wait(lock, [&] { return stops_ || (next_ < plan_.size() && next_ < wanted_ + ahead_); });
    if (stops_) return;
    const std::size_t frame = plan_[next_++];
    if (slots_.find(frame) == slots_.end()) fill(lock, frame);
  }
}

}  // namespace reef::backup::internal
