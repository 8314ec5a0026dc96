#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "reef/io/internal/wal_overlay.h"
#include "reef/io/sqlite.h"

namespace reef::io::internal {

/// The ways in which SqliteCapture gets at a database; its methods say what these do.
class DatabaseImage {
 public:
  DatabaseImage() = default;
  DatabaseImage(const DatabaseImage&) = delete;
  DatabaseImage& operator=(const DatabaseImage&) = delete;
  virtual ~DatabaseImage() = default;
  virtual std::uint64_t size_bytes() const = 0;
  virtual void read(std::uint64_t offset, std::span<std::uint8_t> into) const = 0;
  virtual int descriptor() const { return -1; }
  virtual Database& database() = 0;
  virtual bool still_holds() const { return true; }
  /// Whether writers may have to wait until it is closed.
  virtual bool keeps_writers_waiting() const { return false; }
};

/// A WAL database that nobody has open: all of it is in its file, and a change would show in the file's state. nullptr
/// where somebody has it open, or may have.
std::unique_ptr<DatabaseImage> open_resting(const std::filesystem::path& path);
/// A read transaction. `path` goes through no link.
std::unique_ptr<DatabaseImage> open_live(const std::filesystem::path& path, std::chrono::milliseconds patience);
/// What `from` reads, `size` bytes of it, in a private file of `scratch` that has no name. `path` is for names.
std::unique_ptr<DatabaseImage> copy_database(const std::filesystem::path& path, const std::filesystem::path& scratch,
                                             std::uint64_t size, const ReadAt& from);

/// The first bytes of a database (sqlite.org/fileformat2.html, section 1.3).
using DatabaseHeader = std::array<std::uint8_t, 100>;
bool is_wal(const DatabaseHeader& header);
/// Throws Error{corrupt} where a file that holds all of its database is shorter than its header says.
void require_whole(const std::filesystem::path& path, const DatabaseHeader& header, std::uint64_t size);
[[noreturn]] void throw_short(const std::filesystem::path& path, std::uint64_t size, std::uint64_t said);

/// "<path>-wal" and the like.
std::string beside(const std::filesystem::path& path, const char* suffix);
/// 0 where there is none.
std::uint64_t size_of(const std::string& path);

}  // namespace reef::io::internal
