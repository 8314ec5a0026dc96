#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "reef/io/direct_file.h"

namespace reef::io {

/// One read of a range. `offset` and `into` are multiples of DirectFile::kSector, and `into` has room for whole
/// sectors.
struct ReadRequest {
  const DirectFile* file = nullptr;
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::uint8_t* into = nullptr;
};

struct ReadDone {
  std::size_t slot = 0;
  int error = 0;  ///< of errno(3), 0: all bytes are there; ENODATA: the file ends before
};

/// Several reads in flight from one thread: through io_uring, else, where containers forbid it or with REEF_IO=plain,
/// one after the other. File and memory of a request must live until wait() returned it or the queue is gone.
class ReadQueue {
 public:
  explicit ReadQueue(std::size_t depth);
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;
  /// Waits for what is in flight: a drive writes into that memory.
  ~ReadQueue();

  /// Starts a read under a number below `depth` that no other read in flight has.
  void start(std::size_t slot, const ReadRequest& request);
  std::size_t in_flight() const;
  /// The next that is done. Precondition: in_flight() > 0. Throws Error{interrupted} on a signal.
  ReadDone wait();

 private:
  class Backend;
  class Uring;
  class Plain;
  std::unique_ptr<Backend> backend_;
};

}  // namespace reef::io
