#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "reef/backup/archive_reader.h"
#include "reef/backup/internal/frame.h"
#include "reef/backup/internal/frame_table.h"

namespace reef::backup::internal {

/// Gives the bytes of the tar archive in an archive. Frames that are planned are read and decompressed ahead, on
/// threads of its own; those read last are kept. All methods may be called from any thread.
class FrameReader {
 public:
  FrameReader(const ArchiveSource& source, const FrameTable& table, unsigned threads);
  FrameReader(const FrameReader&) = delete;
  FrameReader& operator=(const FrameReader&) = delete;
  ~FrameReader();

  /// The frames that will be wanted, ascending.
  void plan(std::vector<std::size_t> frames);
  /// Throws Error{corrupt} naming the frame and its bytes, and what the source throws.
  std::shared_ptr<const FrameBuffer> get(std::size_t frame);
  /// Precondition: all of it lies within the tar archive.
  void read(std::uint64_t offset, std::span<std::uint8_t> into);

  /// "frame 3 of 12, bytes 8388608-9000000".
  std::string place(std::size_t frame) const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Slot {
    std::shared_ptr<const FrameBuffer> content;
    std::exception_ptr error;
    std::uint64_t used = 0;
    bool is_done = false;
  };
  struct Tools {
    FrameDecompressor decompressor;
    FrameBuffer stored;
  };
  /// Buffers that went out of use; outlives the reader where somebody still holds content.
  struct Pool {
    std::mutex mutex;
    std::vector<std::unique_ptr<FrameBuffer>> spare;
  };

  void work();
  /// Fills the slot of `frame`, which it makes.
  void fill(Lock& lock, std::size_t frame);
  std::shared_ptr<const FrameBuffer> load(std::size_t frame, Tools& tools);
  std::shared_ptr<FrameBuffer> buffer();
  void forget_oldest();

  const ArchiveSource& source_;
  const FrameTable& table_;
  std::size_t ahead_;
  std::shared_ptr<Pool> pool_ = std::make_shared<Pool>();
  std::mutex mutex_;
  std::condition_variable to_do_;
  std::condition_variable done_;
  std::map<std::size_t, Slot> slots_;
  std::vector<std::unique_ptr<Tools>> tools_;  ///< not in use
  std::vector<std::size_t> plan_;
  std::size_t next_ = 0;    ///< of the plan, to be read ahead
  std::size_t wanted_ = 0;  ///< of the plan, up to here asked for
  std::uint64_t uses_ = 0;
  bool stops_ = false;
  std::vector<std::thread> crew_;
};

}  // namespace reef::backup::internal
