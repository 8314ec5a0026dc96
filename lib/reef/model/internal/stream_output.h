#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "reef/io/file.h"

namespace reef::model::internal {

/// Where a stream goes: "-" (standard output), "unix:PATH" and "tcp:HOST:PORT" (connected to), "shm:NAME" (an object of
/// POSIX shared memory), else a file. Files and shared memory appear under their names when they are whole; pipes and
/// devices are written to as they are.
class StreamOutput {
 public:
  /// Throws Error{usage} for a target that is none, a terminal, or something that is there already (without `force`),
  /// Error{failed} naming the peer that cannot be reached.
  StreamOutput(const std::string& target, bool force);

  /// Somebody may read along, and must be told when the stream breaks off.
  bool is_live() const { return !staged_; }
  /// As messages show it: "standard output", "tcp:localhost:7000".
  const std::string& name() const { return name_; }
  std::uint64_t written() const { return written_; }

  /// Makes room for so many bytes on a disk or in memory. Throws Error{failed} when there is not so much.
  void reserve(std::uint64_t bytes);
  /// Both, one after the other. Waits for a slow reader. Throws Error{failed} when the reader is gone or the disk is
  /// full, Error{interrupted}.
  void write(std::span<const std::uint8_t> head, std::span<const std::uint8_t> payload);
  /// All of it was written: publishes it, or closes the connection.
  void finish();

 private:
  void open_stdout();
  void open_path(const io::fs::path& path, unsigned mode);
  void connect_unix(const std::string& path);
  void connect_tcp(const std::string& host, const std::string& port);
  [[noreturn]] void fail_exists() const;
  [[noreturn]] void fail_write(int error) const;

  std::string name_;
  bool force_;
  int fd_ = -1;  ///< what is written to
  bool is_socket_ = false;
  io::UniqueFd own_;
  std::optional<io::StagedFile> staged_;
  std::uint64_t written_ = 0;
};

}  // namespace reef::model::internal
