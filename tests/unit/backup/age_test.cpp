#include "reef/backup/age.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include "archive_parts.h"

using namespace reef;
using namespace reef::test;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// A pair of keys of its own.
struct Keys {
  TempDir dir;
  fs::path identity = dir / "key";
  std::string recipient;

  explicit Keys() {
    REQUIRE(shell("age-keygen -o '" + identity.string() + "' 2>/dev/null").first == 0);
    recipient = shell("age-keygen -y '" + identity.string() + "'").second;
    recipient.pop_back();
  }
};

bool is_missing() {
  if (has_program("age-keygen")) return false;
  MESSAGE("skipped: no age here");
  return true;
}

std::string text_of(const io::UniqueFd& fd) {
  std::string text(io::file_size(fd.get(), "clear"), '\0');
  io::pread_exact(fd.get(), text.data(), text.size(), 0, "clear");
  return text;
}

/// An archive with a file that was read twice, since it changed the first time.
std::string write(backup::ArchiveOutput& output) {
  backup::ArchiveWriter writer(output, 2);
  put_text(writer, "a", "a");
  TextContent changes(some_noise(9 * kMiB));
  changes.changes = true;
  CHECK_THROWS_AS(writer.put(file_entry("large", 9 * kMiB), &changes), backup::Changed);
  const std::string large = some_text(9 * kMiB);
  put_text(writer, "large", large);
  put_text(writer, "larger", some_noise(9 * kMiB, 4));
  put_text(writer, "z", "z");
  writer.finish();
  return large;
}

}  // namespace

TEST_CASE("an encrypted archive is opened by age, zstd and tar, and by reef") {
  if (is_missing()) return;
  const Keys keys;
  const Keys others;
  const TempDir scratch;
  ArchiveFile file;
  backup::check_age({keys.recipient, others.recipient});
  std::string large;
  {
    backup::AgeOutput output({keys.recipient, others.recipient}, file.output(), scratch.path());
    large = write(output);
    CHECK(output.size_bytes() == fs::file_size(file.path()));
    CHECK(output.sha256() == io::sha256_file(file.path()));
  }
  CHECK(fs::is_empty(scratch.path()));
  CHECK(file.bytes().starts_with("age-encryption.org/v1\n"));

  const std::string line =
      "age -d -i '" + others.identity.string() + "' '" + file.path().string() + "' | zstd -dc | tar -x";
  CHECK(shell(line + "O -f - large").second == large);
  CHECK(shell(line + "vf - -O 2>&1 >/dev/null").second == "a\nlarge\nlarger\nz\n");

  const backup::Decrypted clear = backup::decrypt_age(file.path(), keys.identity, scratch.path());
  CHECK(fs::is_empty(scratch.path()));
  CHECK(clear.fault.empty());
  const backup::FileSource source(clear.fd.get(), file.path());
  const backup::ArchiveReader reader(source, 1);
  GatheringSink sink;
  reader.read({}, sink, no_progress());
  CHECK(sink.paths() == std::vector<std::string>{"a", "large", "larger", "z"});
  CHECK(sink.texts["large"] == large);
}

TEST_CASE("what age cannot do is told, with the next step") {
  if (is_missing()) return;
  const Keys keys;
  const TempDir dir;
  CHECK_THROWS_WITH_AS(backup::check_age({}), "nothing says to whom to encrypt", Error);
  CHECK_THROWS_AS(backup::check_age({keys.recipient, "age1nobody"}), Error);
  CHECK_THROWS_AS(backup::check_age({"--output=/tmp/x"}), Error);
  const std::string secret = io::read_file(keys.identity);
  CHECK_THROWS_WITH_AS(backup::check_age({secret.substr(secret.find("AGE-SECRET-KEY-"))}),
                       "one of the recipients is a secret key", Error);

  ArchiveFile file;
  backup::AgeOutput output({keys.recipient}, file.output(), dir.path());
  write(output);
  const Keys others;
  const auto code_of = [&](const fs::path& path, const fs::path& identity) {
    try {
      backup::decrypt_age(path, identity, dir.path());
    } catch (const Error& error) {
      return error.code();
    }
    return Errc::interrupted;
  };
  CHECK(code_of(file.path(), others.identity) == Errc::usage);
  CHECK(code_of(file.path(), {}) == Errc::usage);
  CHECK(code_of(file.path(), dir / "absent") == Errc::not_found);
  io::replace_file(dir / "text", "this is no archive");
  CHECK(code_of(dir / "text", keys.identity) == Errc::corrupt);

  // Damaged in its middle: what stands before comes out.
  std::string bytes = file.bytes();
  bytes[bytes.size() / 2] ^= 1;
  io::replace_file(dir / "damaged", bytes);
  const backup::Decrypted part = backup::decrypt_age(dir / "damaged", keys.identity, dir.path());
  CHECK(part.fault.find("cannot be decrypted to its end") != std::string::npos);
  const backup::Decrypted whole = backup::decrypt_age(file.path(), keys.identity, dir.path());
  CHECK(text_of(whole.fd).starts_with(text_of(part.fd)));

  // Without the program.
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", "/nowhere", 1);
  const std::string missing = "there is no program 'age' in PATH, and tier 3 is encrypted with it";
  CHECK_THROWS_WITH_AS(backup::check_age({keys.recipient}), missing.c_str(), Error);
  CHECK_THROWS_WITH_AS(backup::decrypt_age(file.path(), keys.identity, dir.path()), missing.c_str(), Error);
  ::setenv("PATH", path.c_str(), 1);
}
