#include "reef/io/read_pieces.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/ordered_reader.h"
#include "support/temp_dir.h"
#include "support/trace_self.h"

namespace reef::io {
namespace {

std::string random_text(std::size_t count) {
  std::mt19937 random(7);
  std::string text(count, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

/// As much as is in memory of a file after this is up to its filesystem: tmpfs keeps all of it.
void throw_out_of_memory(const fs::path& path) {
  const UniqueFd fd = open_file(path, O_RDONLY);
  sync_file(fd.get(), path);
  REQUIRE(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/// What read_pieces() delivers, put together; each piece must come once.
std::string read_all(const DirectFile& file, unsigned threads) {
  const std::vector<Piece> pieces = pieces_of(file);
  std::string text(file.size(), '?');
  std::vector<int> seen(pieces.size());
  std::mutex mutex;
  read_pieces(
      pieces, {threads, {}},
      [&](std::size_t worker, std::span<const PieceRead> done) {
        const std::lock_guard lock(mutex);
        REQUIRE(worker < threads);
        for (const PieceRead& read : done) {
          REQUIRE(read.error == 0);
          ++seen[read.piece];
          std::copy(read.bytes.begin(), read.bytes.end(),
                    text.begin() + static_cast<std::ptrdiff_t>(pieces[read.piece].offset));
        }
      },
      [] {});
  CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
  return text;
}

TEST_CASE("pieces are the bytes of the file, from the drive and from memory, by one thread and by many") {
  const test::TempDir dir;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, kPieceBytes, 30 * kPieceBytes + 4097}) {
    CAPTURE(bytes);
    const std::string text = random_text(bytes);
    replace_file(dir / "file", text);
    for (const unsigned threads : {1U, 3U}) {
      const DirectFile file(dir / "file");
      throw_out_of_memory(dir / "file");
      CHECK((read_all(file, threads) == text));
      CHECK((read_file(dir / "file") == text));  // and brings it into memory
      CHECK((read_all(file, threads) == text));
    }
  }
}

TEST_CASE("in order, pieces come one after the other, whether the drive or memory has them") {
  const test::TempDir dir;
  const std::string text = random_text(11 * kPieceBytes + 77);
  replace_file(dir / "file", text);
  const DirectFile file(dir / "file");
  const std::vector<Piece> pieces = pieces_of(file);
  for (const std::size_t depth : {1U, 4U, 64U}) {
    for (const bool in_memory : {false, true}) {
      throw_out_of_memory(dir / "file");
      if (in_memory) CHECK((read_file(dir / "file") == text));
      OrderedReader reader(pieces, depth);
      std::string read;
      std::size_t expected = 0;
      while (const auto piece = reader.next()) {
        REQUIRE(piece->error == 0);
        CHECK(piece->piece == expected++);
        read.append(reinterpret_cast<const char*>(piece->bytes.data()), piece->bytes.size());
      }
      CHECK((read == text));
      CHECK(!reader.next());
    }
  }
  OrderedReader left_early(pieces, 8);  // with reads in flight
  CHECK(left_early.next());
}

TEST_CASE("pieces that are kept stay as they are while the reader goes on") {
  const test::TempDir dir;
  const std::string text = random_text(9 * kPieceBytes + 5);
  replace_file(dir / "file", text);
  const DirectFile file(dir / "file");
  const std::vector<Piece> pieces = pieces_of(file);
  for (const std::size_t kept : {1, 3, 40}) {
    for (const bool in_memory : {false, true}) {
      throw_out_of_memory(dir / "file");
      if (in_memory) CHECK((read_file(dir / "file") == text));
      OrderedReader reader(pieces, 2, kept);
      std::vector<std::span<const std::uint8_t>> reads;
      while (const auto piece = reader.next()) {
        REQUIRE(piece->error == 0);
        reads.push_back(piece->bytes);
        for (std::size_t i = reads.size() - std::min(reads.size(), kept + 1); i < reads.size(); ++i)
          CHECK((std::string_view(reinterpret_cast<const char*>(reads[i].data()), reads[i].size()) ==
                 std::string_view(text).substr(pieces[i].offset, pieces[i].bytes)));
      }
      CHECK(reads.size() == pieces.size());
    }
  }
}

TEST_CASE("a file that is read directly does not come into the page cache, one that is there stays") {
  const test::TempDir dir;
  replace_file(dir / "file", random_text(3 * kPieceBytes));
  throw_out_of_memory(dir / "file");
  const DirectFile file(dir / "file");
  if (!file.cached(0, kPieceBytes).empty()) {
    MESSAGE("skipped: this filesystem lives in memory");
    return;
  }
  read_all(file, 2);
  CHECK(file.cached(0, kPieceBytes).empty());
  read_file(dir / "file");
  REQUIRE(file.cached(0, kPieceBytes).size() == kPieceBytes);
  read_all(file, 2);
  CHECK(file.cached(0, kPieceBytes).size() == kPieceBytes);
}

TEST_CASE("pieces go where the caller wants them") {
  const test::TempDir dir;
  const std::string text = random_text(2 * kPieceBytes + 100);
  replace_file(dir / "file", text);
  const DirectFile file(dir / "file");
  const std::vector<Piece> pieces = pieces_of(file);
  std::vector<std::uint8_t> memory(4 * kPieceBytes);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  std::uint8_t* const begin = memory.data() + (kPieceBytes - address % kPieceBytes);
  std::size_t taken = 0;
  read_pieces(
      pieces, {1, [&](std::size_t piece) { return begin + piece * kPieceBytes; }},
      [&](std::size_t, std::span<const PieceRead> done) {
        for (const PieceRead& read : done) {
          CHECK(read.bytes.data() == begin + read.piece * kPieceBytes);
          taken += read.bytes.size();
        }
      },
      [] {});
  CHECK(taken == text.size());
  CHECK(std::equal(text.begin(), text.end(), reinterpret_cast<const char*>(begin)));
}

TEST_CASE("what is under way is bounded however many threads there are, and with few of them each has a dozen") {
  const test::TempDir dir;
  constexpr std::size_t kCount = 6 * kMostAtOnce;
  replace_file(dir / "file", random_text(kCount * DirectFile::kSector));
  const DirectFile file(dir / "file");
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < kCount; ++i) pieces.push_back({&file, i * DirectFile::kSector, DirectFile::kSector});
  std::vector<std::uint8_t> memory((kCount + 1) * DirectFile::kSector);
  std::uint8_t* const begin =
      memory.data() + (DirectFile::kSector - reinterpret_cast<std::uintptr_t>(memory.data()) % DirectFile::kSector);
  for (const unsigned threads : {1U, 2U, 5U, 16U, 64U}) {
    CAPTURE(threads);
    std::mutex mutex;
    std::size_t at_once = 0, most = 0, taken = 0;
    read_pieces(
        pieces,
        {threads,
         [&](std::size_t piece) {
           const std::lock_guard lock(mutex);
           most = std::max(most, ++at_once);
           return begin + piece * DirectFile::kSector;
         }},
        [&](std::size_t worker, std::span<const PieceRead> done) {
          const std::lock_guard lock(mutex);
          CHECK(worker < std::min<std::size_t>(threads, kMostAtOnce / 2));
          at_once -= done.size();
          taken += done.size();
        },
        [] {});
    CHECK(taken == kCount);
    CHECK(most <= kMostAtOnce);
    if (threads == 1) CHECK(most == 12);
  }
}

TEST_CASE("a piece past the end is an error of its own, the others come") {
  const test::TempDir dir;
  replace_file(dir / "file", random_text(5000));
  const DirectFile file(dir / "file");
  const std::vector<Piece> pieces = {{&file, 0, 5000}, {&file, 4096, 5000}, {&file, 8192, 10}};
  std::vector<int> errors(3, -1);
  read_pieces(
      pieces, {1, {}},
      [&](std::size_t, std::span<const PieceRead> done) {
        for (const PieceRead& read : done) {
          errors[read.piece] = read.error;
          CHECK(read.bytes.empty() == (read.error != 0));
        }
      },
      [] {});
  CHECK(errors == std::vector<int>{0, ENODATA, ENODATA});
}

TEST_CASE("what take throws ends the reading, and so does a signal") {
  const test::TempDir dir;
  replace_file(dir / "file", random_text(20 * kPieceBytes));
  const DirectFile file(dir / "file");
  const std::vector<Piece> pieces = pieces_of(file);
  CHECK_THROWS_AS(
      read_pieces(
          pieces, {2, {}}, [](std::size_t, std::span<const PieceRead>) { throw std::runtime_error("stop"); }, [] {}),
      std::runtime_error);
  pending_signal = SIGINT;
  CHECK_THROWS_AS(read_all(file, 2), Error);
  pending_signal = 0;
}

TEST_CASE("with REEF_IO=plain the same bytes come without direct reads and without io_uring") {
  const auto trace =
      test::trace_plain_run("openat,io_uring_setup", "pieces are the bytes*,in order*,pieces go where*,a piece past*");
  if (!trace) return;
  CHECK(trace->find("openat") != std::string::npos);
  CHECK(trace->find("O_DIRECT,") == std::string::npos);
  CHECK(trace->find("O_DIRECT|") == std::string::npos);
  CHECK(trace->find("io_uring_setup") == std::string::npos);
}

}  // namespace
}  // namespace reef::io
