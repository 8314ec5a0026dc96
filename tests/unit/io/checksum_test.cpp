#include "reef/io/checksum.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/internal/sha256_blocks.h"
#include "reef/io/process.h"
#include "support/temp_dir.h"

namespace reef::io {
namespace {

std::vector<std::uint8_t> random_bytes(std::size_t count) {
  std::mt19937 random(42);
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

/// What coreutils says, or nothing where it is not installed.
std::string sha256sum_of(const fs::path& path, const fs::path& output) {
  try {
    REQUIRE(run_process({"sha256sum", path.string()}, output, {}).status == 0);
  } catch (const Error&) {
    MESSAGE("skipped: no sha256sum here");
    return {};
  }
  return read_file(output).substr(0, 64);
}

TEST_CASE("SHA-256 gives the digests of FIPS 180-4 and NIST's examples") {
  CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(to_hex(sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu")) ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(to_hex(sha256(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("two messages at once have the digests that each has alone") {
  const auto bytes = random_bytes(2 * 4096 + 3);
  const std::span<const std::uint8_t> all(bytes);
  for (const std::size_t length : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 128U, 1000U, 4096U}) {
    const auto first = all.subspan(1, length), second = all.subspan(4097, length);
    const auto both = sha256_pair(first, second);
    CHECK(both[0] == sha256(first));
    CHECK(both[1] == sha256(second));
  }
}

TEST_CASE("a message is hashed on together with each of its parts") {
  const auto bytes = random_bytes(5000);
  const std::span<const std::uint8_t> all(bytes);
  for (const std::size_t part : {1U, 64U, 100U, 640U, 5000U}) {
    Sha256 whole;
    for (std::size_t at = 0; at < all.size(); at += part) {
      const auto piece = all.subspan(at, std::min(part, all.size() - at));
      CHECK(whole.update_and_digest(piece) == sha256(piece));
    }
    CHECK(whole.finish() == sha256(all));
  }
}

TEST_CASE("both ways to take blocks agree") {
  const internal::Sha256Blocks native = internal::sha256_blocks_native();
  if (native == nullptr) {
    MESSAGE("skipped: this CPU has no SHA instructions");
    return;
  }
  const auto bytes = random_bytes(64 * 1000 + 1);
  for (const std::size_t blocks : {0U, 1U, 2U, 3U, 1000U}) {
    for (const std::size_t shift : {0U, 1U}) {  // aligned and not
      std::array<std::uint32_t, 8> by_library = {1, 2, 3, 4, 5, 6, 7, 0xffffffff};
      std::array<std::uint32_t, 8> by_cpu = by_library;
      internal::sha256_blocks_library(by_library, bytes.data() + shift, blocks);
      native(by_cpu, bytes.data() + shift, blocks);
      CHECK(by_library == by_cpu);
    }
  }
}

TEST_CASE("pieces of any size give the digest of the whole") {
  const auto bytes = random_bytes(1000);
  const std::span<const std::uint8_t> all(bytes);
  for (std::size_t length = 0; length <= 300; ++length) {
    const auto part = all.first(length);
    Sha256 whole;
    whole.update(part);
    Sha256 pieces;
    for (std::size_t at = 0; at < length; at += 7)
      pieces.update(part.subspan(at, std::min<std::size_t>(7, length - at)));
    CHECK(whole.finish() == pieces.finish());
  }
}

TEST_CASE("digests are those of sha256sum") {
  const test::TempDir dir;
  // The lengths around a block's padding, and around the piece that a file is read in.
  for (const std::size_t length : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 1U << 20, (1U << 20) + 1}) {
    const auto bytes = random_bytes(length);
    replace_file(dir / "a", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    const std::string expected = sha256sum_of(dir / "a", dir / "out");
    if (expected.empty()) return;
    std::uint64_t told = 0;
    CHECK(to_hex(sha256_file(dir / "a", [&](std::uint64_t count) { told += count; })) == expected);
    CHECK(told == length);
    Sha256 hash;
    hash.update(bytes);
    CHECK(to_hex(hash.finish()) == expected);
  }
  CHECK_THROWS_AS(sha256_file(dir / "absent"), Error);
}

TEST_CASE("XXH3 gives its published values and sees one bit") {
  CHECK(xxh3({}) == 0x2d06800538d394c2);  // XXH3_64bits of nothing, seed 0
  auto bytes = random_bytes(4096);
  const std::uint64_t before = xxh3(bytes);
  bytes[1234] ^= 1;
  CHECK(xxh3(bytes) != before);
}

}  // namespace
}  // namespace reef::io
