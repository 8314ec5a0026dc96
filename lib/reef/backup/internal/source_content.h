#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/entry.h"
#include "reef/core/error.h"
#include "reef/io/sqlite_capture.h"
#include "reef/io/unique_handle.h"

namespace reef::backup::internal {

/// What a file of the tree holds. Remembers what went wrong in the tree, so that it is told from what went wrong where
/// the content went.
class SourceContent : public Content {
 public:
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const final;
  Counts finish() final;
  /// The first fault of the source; nullopt where there was none.
  std::optional<Error> fault() const;

 protected:
  virtual void read_source(std::uint64_t offset, std::span<std::uint8_t> into) const = 0;
  virtual Counts finish_source() = 0;

 private:
  mutable std::mutex mutex_;
  mutable std::optional<Error> fault_;
};

/// A file as it lies. finish() throws Changed where it is not as it was when it was opened, unless `as_it_is`. What is
/// cut off meanwhile reads as zeros.
class PlainContent : public SourceContent {
 public:
  /// `status` is fstat(2)'s of `fd`; `shown` stands in messages.
  PlainContent(io::UniqueFd fd, const struct stat& status, std::string shown, bool as_it_is);

  std::uint64_t size_bytes() const override { return size_; }
  std::uint64_t next_data(std::uint64_t offset) const override;
  int descriptor() const override { return fd_.get(); }

 protected:
  void read_source(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  Counts finish_source() override;

 private:
  io::UniqueFd fd_;
  struct stat before_;
  std::string shown_;
  std::uint64_t size_;
  bool as_it_is_;
  Counts counts_;
};

/// The first rows of a .npy file to which somebody may be appending, behind a header that counts just these.
class RowsContent : public SourceContent {
 public:
  /// Throws Error{corrupt} where the file does not hold so many rows of that size. With `unchanging`, finish() throws
  /// Changed when anything was written meanwhile: rows that count may have been, too.
  RowsContent(io::UniqueFd fd, const struct stat& status, std::string shown, std::uint64_t rows,
              std::uint64_t row_bytes, bool unchanging);

  std::uint64_t size_bytes() const override { return size_; }
  std::uint64_t next_data(std::uint64_t offset) const override;
  int descriptor() const override { return is_whole_file_ ? fd_.get() : -1; }

 protected:
  void read_source(std::uint64_t offset, std::span<std::uint8_t> into) const override;
  Counts finish_source() override;

 private:
  io::UniqueFd fd_;
  struct stat before_;
  std::string shown_;
  std::uint64_t rows_;
  std::uint64_t size_ = 0;
  bool unchanging_;
  bool is_whole_file_ = false;
  std::string header_;
};

/// A database as of one commit.
class DatabaseContent : public SourceContent {
 public:
  DatabaseContent(io::SqliteCapture& capture, Counts counts) : capture_(capture), counts_(std::move(counts)) {}

  std::uint64_t size_bytes() const override { return capture_.size_bytes(); }
  int descriptor() const override { return capture_.descriptor(); }

 protected:
  void read_source(std::uint64_t offset, std::span<std::uint8_t> into) const override { capture_.read(offset, into); }
  Counts finish_source() override {
    if (!capture_.still_holds()) throw Changed{};
    return std::move(counts_);
  }

 private:
  io::SqliteCapture& capture_;
  Counts counts_;
};

/// Rows by table, virtual tables and what stands behind them left out. Throws Error{corrupt}.
Counts row_counts(io::Database& database);

/// How many rows the header of a .npy file counts; nullopt for what is none.
std::optional<std::uint64_t> npy_rows(const std::string& first_bytes);

}  // namespace reef::backup::internal
