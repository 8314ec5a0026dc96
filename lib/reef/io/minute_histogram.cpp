#include "reef/io/minute_histogram.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>

#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::io {
namespace {

using std::chrono::microseconds;
using std::chrono::minutes;
using Word = std::uint64_t;

constexpr unsigned kSubBits = 4;
constexpr std::uint64_t kSubBuckets = 1U << kSubBits;
constexpr std::uint64_t kLongestUs = (1U << 24) - 1;
constexpr std::size_t kHeaderBytes = 4096;
constexpr std::size_t kSlotBytes = LatencyCounts::kBuckets * sizeof(Word);
constexpr std::size_t kFileBytes = kHeaderBytes + MinuteHistogram::kMinutes * kSlotBytes;

#ifdef MADV_POPULATE_WRITE
constexpr int kPopulateWrite = MADV_POPULATE_WRITE;
#else
constexpr int kPopulateWrite = 23;
#endif

/// The first bytes of the file. A file written with another byte order or form is a foreign one.
struct Header {
  std::array<char, 8> magic{'R', 'E', 'E', 'F', 'L', 'A', 'T', '1'};
  std::uint32_t byte_order = 0x01020304;
  std::uint32_t minutes = MinuteHistogram::kMinutes;
  std::uint32_t buckets = LatencyCounts::kBuckets;
  std::uint32_t sub_buckets = kSubBuckets;
  bool operator==(const Header&) const = default;
};
static_assert(std::atomic_ref<Word>::is_always_lock_free);

std::uint32_t minute_of(Time time) {
  return static_cast<std::uint32_t>(std::chrono::floor<minutes>(time).time_since_epoch().count());
}

std::size_t slot_offset(std::uint32_t minute) {
  return kHeaderBytes + std::size_t{minute % MinuteHistogram::kMinutes} * kSlotBytes;
}

Word one_more(Word before, std::uint32_t minute) {
  const bool current = before >> 32 == minute;
  return Word{minute} << 32 | (current ? (before & 0xFFFFFFFF) + 1 : 1);
}

/// A file of ours, whole? O_NONBLOCK and the type: nothing that stands in its place may hold a
/// query up.
UniqueFd open_sound(const fs::path& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  struct stat status {};
  Header header{};
  const bool sound = fd && ::fstat(fd.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                     status.st_size == static_cast<off_t>(kFileBytes) &&
                     ::pread(fd.get(), &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header) &&
                     header == Header{};
  return sound ? std::move(fd) : UniqueFd();
}

/// Gives the file its blocks: fallocate(2), not posix_fallocate(3), whose emulation writes into
/// what others count in. Filesystems without it take zeros, while the file is still our own.
bool allocate(int fd, const fs::path& path) {
  if (::fallocate(fd, 0, 0, static_cast<off_t>(kFileBytes)) == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
  pwrite_all(fd, std::string(kFileBytes, '\0'), 0, path);
  return true;
}

/// Puts a new, empty file in place. Not through StagedFile: counts need no fsync, which would cost
/// the query milliseconds, and where the file was absent the first of several writers must win.
bool create(const fs::path& path, bool replaces) {
  const fs::path temporary = temporary_name(path);
  const UniqueFd fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
  if (!fd) return false;
  bool placed = false;
  try {
    const Header header;
    const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof header);
    if (allocate(fd.get(), temporary)) {
      pwrite_all(fd.get(), bytes, 0, temporary);
      const unsigned flags = replaces ? 0 : RENAME_NOREPLACE;
      placed = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), flags) == 0;
      // A filesystem without that flag: the last of several writers wins, and a few counts are lost.
      if (!placed && errno == EINVAL) placed = ::rename(temporary.c_str(), path.c_str()) == 0;
    }
  } catch (const Error&) {  // the disk is full, or a signal is pending: no file then
  }
  if (!placed) ::unlink(temporary.c_str());
  return placed;
}

/// A copy of the file may have holes. Filled where the disk has room, so that kernels before 5.14,
/// which cannot be asked for one page, find blocks below every store.
UniqueFd with_blocks(UniqueFd fd) {
  struct stat status {};
  const bool whole = ::fstat(fd.get(), &status) == 0 && status.st_blocks >= static_cast<blkcnt_t>(kFileBytes / 512);
  const bool filled = whole || ::fallocate(fd.get(), 0, 0, static_cast<off_t>(kFileBytes)) == 0;
  return filled || errno == EOPNOTSUPP ? std::move(fd) : UniqueFd();
}

/// Opens the file for writing, making it or replacing one that is not ours.
UniqueFd open_or_create(const fs::path& path) {
  if (UniqueFd fd = open_sound(path, O_RDWR)) return with_blocks(std::move(fd));
  struct stat status {};
  const bool something = ::lstat(path.c_str(), &status) == 0;
  // A sound file that may only be read, or a folder: not ours to replace.
  if (something && (!S_ISREG(status.st_mode) || open_sound(path, O_RDONLY))) return {};
  create(path, something);  // or another process was faster: then its file will do
  return open_sound(path, O_RDWR);
}

}  // namespace

std::size_t LatencyCounts::bucket_of(microseconds latency) noexcept {
  const auto us = std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0)), kLongestUs);
  if (us < kSubBuckets) return static_cast<std::size_t>(us);
  const unsigned shift = static_cast<unsigned>(std::bit_width(us)) - kSubBits - 1;
  return static_cast<std::size_t>(shift * kSubBuckets + (us >> shift));
}

microseconds LatencyCounts::middle_of(std::size_t bucket) noexcept {
  if (bucket < 2 * kSubBuckets) return microseconds(static_cast<std::int64_t>(bucket));
  const std::uint64_t shift = bucket / kSubBuckets - 1;
  const std::uint64_t low = (bucket - shift * kSubBuckets) << shift;
  return microseconds(static_cast<std::int64_t>(low + (std::uint64_t{1} << shift) / 2));
}

std::uint64_t LatencyCounts::count() const {
  std::uint64_t total = 0;
  for (const std::uint64_t count : counts_) total += count;
  return total;
}

std::optional<microseconds> LatencyCounts::percentile(double q) const {
  const std::uint64_t total = count();
  if (total == 0) return std::nullopt;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(total));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, total);
  std::uint64_t passed = 0;
  std::size_t bucket = 0;
  while ((passed += counts_[bucket]) < rank) ++bucket;
  return middle_of(bucket);
}

MinuteHistogram::~MinuteHistogram() {
  if (mapping_ != nullptr) ::munmap(mapping_, kFileBytes);
}

bool MinuteHistogram::open() noexcept {
  if (tried_) return static_cast<bool>(fd_);
  tried_ = true;  // once: what failed for the first query of a batch need not be tried for each
  try {
    fd_ = open_or_create(path_);
  } catch (const std::exception&) {
    return false;
  }
  if (!fd_ || plain_io()) return static_cast<bool>(fd_);
  void* address = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (address == MAP_FAILED) {
    fd_.reset();
    return false;
  }
  mapping_ = static_cast<unsigned char*>(address);
  return true;
}

bool MinuteHistogram::record(Time at, microseconds latency) noexcept {
  if (!open()) return false;
  const std::uint32_t minute = minute_of(at);
  return add(slot_offset(minute) + LatencyCounts::bucket_of(latency) * sizeof(Word), minute);
}

bool MinuteHistogram::add(std::size_t offset, std::uint32_t minute) noexcept {
  if (plain_io()) {  // for the fault harness, which runs one writer
    Word value = 0;
    const auto place = static_cast<off_t>(offset);
    if (::pread(fd_.get(), &value, sizeof value, place) != static_cast<ssize_t>(sizeof value)) return false;
    value = one_more(value, minute);
    return ::pwrite(fd_.get(), &value, sizeof value, place) == static_cast<ssize_t>(sizeof value);
  }
  // Has the kernel make the page writable now, and say so where a store would raise SIGBUS: the
  // disk is full below a hole or a shared block, or somebody cut the file. Before Linux 5.14 it
  // does not know the call (EINVAL); blocks that fallocate(2) promised have to do there.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  unsigned char* address = mapping_ + offset;
  if (::madvise(mapping_ + offset / page * page, page, kPopulateWrite) != 0 && errno != EINVAL) return false;
  const std::atomic_ref<Word> word(*reinterpret_cast<Word*>(address));
  Word before = word.load(std::memory_order_relaxed);
  while (!word.compare_exchange_weak(before, one_more(before, minute), std::memory_order_relaxed)) {
  }
  return true;
}

LatencyCounts MinuteHistogram::window(Time end, minutes length) const {
  LatencyCounts counts;
  const UniqueFd fd = open_sound(path_, O_RDONLY);
  if (!fd) return counts;
  // Read, not mapped: a file that is cut short meanwhile ends the loop and not the process.
  std::array<Word, LatencyCounts::kBuckets> slot{};
  const std::uint32_t newest = minute_of(end);
  const auto asked = std::clamp<std::int64_t>(length.count(), 0, kMinutes);
  for (std::uint32_t age = 0; age < static_cast<std::uint32_t>(asked); ++age) {
    const std::uint32_t minute = newest - age;
    const ssize_t got = ::pread(fd.get(), slot.data(), sizeof slot, static_cast<off_t>(slot_offset(minute)));
    if (got != static_cast<ssize_t>(sizeof slot)) break;
    for (std::size_t i = 0; i < slot.size(); ++i) {
      if (slot[i] >> 32 == minute) counts.add(i, slot[i] & 0xFFFFFFFF);
    }
  }
  return counts;
}

}  // namespace reef::io
