#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>

#include "reef/core/time.h"
#include "reef/io/unique_handle.h"

namespace reef::io {

/// Counts of latencies in log-linear buckets: exact below 16 us, then 16 buckets per power of two
/// up to 16.7 s, so that the middle of a bucket is at most 3.2 % away from what was counted.
/// Source of the form: HdrHistogram (Tene); the buckets are a count's leading five bits.
class LatencyCounts {
 public:
  static constexpr std::size_t kBuckets = 336;

  /// The bucket of a latency; what is longer than the range is counted as its end.
  static std::size_t bucket_of(std::chrono::microseconds latency) noexcept;
  /// The middle of a bucket.
  static std::chrono::microseconds middle_of(std::size_t bucket) noexcept;

  void add(std::size_t bucket, std::uint64_t count) { counts_[bucket] += count; }
  std::uint64_t count() const;

  /// The latency that a share `q` (0 to 1: .5, .99) of those counted do not exceed, by nearest
  /// rank; nullopt when nothing was counted.
  std::optional<std::chrono::microseconds> percentile(double q) const;

 private:
  std::array<std::uint64_t, kBuckets> counts_{};
};

/// Latencies of the last 24 hours, a histogram per minute, in one memory-mapped file that any
/// number of processes write at once (cache/query_latency.bin).
///
/// The file: one page of header, then 1440 slots of 336 words; minute m has slot m mod 1440. A
/// word holds the minute in its upper half and the count in its lower one, and is changed by one
/// compare-and-swap. So a bucket whose minute is past is simply overwritten: there is no slot to
/// clear, nothing to lock, and a writer killed at any instruction leaves a file that is right.
///
/// Recording is a by-product of a query and must never fail it: record() says false in place of
/// an error (read-only tree, full disk, no rights) and does not touch a page that the kernel did
/// not promise to back, so that no full disk raises SIGBUS. A damaged or foreign file is replaced.
class MinuteHistogram {
 public:
  static constexpr std::uint32_t kMinutes = 1440;

  /// Opens nothing yet: record() makes the file when it is absent, window() never does.
  explicit MinuteHistogram(std::filesystem::path path) : path_(std::move(path)) {}
  MinuteHistogram(const MinuteHistogram&) = delete;
  MinuteHistogram& operator=(const MinuteHistogram&) = delete;
  ~MinuteHistogram();

  /// Counts one latency under the minute of `at`. False when it could not be recorded.
  /// May be called by several threads once the first call returned.
  bool record(Time at, std::chrono::microseconds latency) noexcept;

  /// What was recorded in the minute of `end` and the `length` - 1 minutes before, 1440 at most.
  /// Empty when there is no file or it is not one of ours.
  LatencyCounts window(Time end, std::chrono::minutes length) const;

 private:
  bool open() noexcept;
  bool add(std::size_t offset, std::uint32_t minute) noexcept;

  std::filesystem::path path_;
  UniqueFd fd_;
  unsigned char* mapping_ = nullptr;
  bool tried_ = false;
};

}  // namespace reef::io
