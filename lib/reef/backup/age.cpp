#include "reef/backup/age.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/child.h"
#include "reef/io/file.h"
#include "reef/io/process.h"

namespace reef::backup {

namespace fs = std::filesystem;

namespace {

constexpr const char* kProgram = "age";
constexpr const char* kRecipientsHint = "check backup.tier3.recipients in system.yaml";
constexpr const char* kIdentityHint =
    "name the file with the secret key of one of backup.tier3.recipients as backup.tier3.identity in system.yaml";
/// age answers as fast as it is fed; it may wait for a disk that it shares, no longer.
constexpr std::chrono::milliseconds kLongestWait{600'000};
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

/// "age: error: no identity matched any of the recipients", in one line.
std::string said(std::string text) {
  text = to_valid_utf8(text.substr(0, 400));
  while (text.ends_with('\n')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "age said nothing" : text;
}

[[noreturn]] void throw_missing() {
  throw Error(Errc::usage, "there is no program 'age' in PATH, and tier 3 is encrypted with it", "apt install age");
}

io::Child start(const std::vector<std::string>& recipients) {
  std::vector<std::string> argv = {kProgram, "--encrypt"};
  for (const std::string& recipient : recipients) {
    argv.emplace_back("--recipient");
    argv.push_back(recipient);
  }
  try {
    return io::Child(argv);
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) throw_missing();
    throw;
  }
}

}  // namespace

void check_age(const std::vector<std::string>& recipients) {
  if (recipients.empty()) throw Error(Errc::usage, "nothing says to whom to encrypt", kRecipientsHint);
  for (const std::string& recipient : recipients) {
    if (recipient.empty() || recipient.starts_with('-'))
      throw Error(Errc::usage, fmt::format("'{}' is no recipient of age's", recipient), kRecipientsHint);
    if (recipient.starts_with("AGE-SECRET-KEY-"))  // and is not to be told further
      throw Error(Errc::usage, "one of the recipients is a secret key",
                  "take the public one that stands beside it (\"# public key: age1…\"), and make a new pair");
  }
  io::Child age = start(recipients);
  age.close_input();
  std::array<char, 4096> ignored;
  while (age.read_some(ignored, kLongestWait) > 0) {
  }
  if (age.finish(kLongestWait) != 0)
    throw Error(Errc::usage, fmt::format("age takes none of it: {}", said(age.error_text())), kRecipientsHint);
}

struct AgeOutput::State {
  State(const std::vector<std::string>& recipients, ArchiveOutput& output, const fs::path& folder)
      : age(start(recipients)), to(output), held(folder / "archive.held", 0600) {}

  void feed(std::string_view bytes) {
    const auto take = [&](std::string_view got) {
      to.write({reinterpret_cast<const std::uint8_t*>(got.data()), got.size()});
    };
    if (!age.feed(bytes, take, kLongestWait)) fail();
  }

  [[noreturn]] void fail() {
    age.finish(kLongestWait);
    throw Error(Errc::failed, fmt::format("encrypt: {}", said(age.error_text())), "run the command again");
  }

  io::Child age;
  ArchiveOutput& to;
  io::StagedFile held;  ///< never gets its name
  std::uint64_t held_bytes = 0;
  bool holds = false;
};

AgeOutput::AgeOutput(const std::vector<std::string>& recipients, ArchiveOutput& to, const fs::path& scratch)
    : state_(std::make_unique<State>(recipients, to, scratch)) {}

AgeOutput::~AgeOutput() = default;

void AgeOutput::write(std::span<const std::uint8_t> bytes) {
  State& s = *state_;
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (!s.holds) return s.feed(text);
  io::pwrite_all(s.held.fd(), text, s.held_bytes, s.held.temporary_path());
  s.held_bytes += bytes.size();
}

void AgeOutput::mark() { state_->holds = true; }

void AgeOutput::rewind() {
  State& s = *state_;
  s.holds = false;
  s.held_bytes = 0;
  if (::ftruncate(s.held.fd(), 0) != 0) throw_errno("shorten", io::shown(s.held.temporary_path()));
}

void AgeOutput::release() {
  State& s = *state_;
  s.holds = false;
  std::string piece;
  for (std::uint64_t at = 0; at < s.held_bytes; at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, s.held_bytes - at)));
    io::pread_exact(s.held.fd(), piece.data(), piece.size(), at, s.held.temporary_path());
    s.feed(piece);
  }
  rewind();
}

void AgeOutput::finish() {
  State& s = *state_;
  s.age.close_input();
  std::string piece(kPieceBytes, '\0');
  while (const std::size_t got = s.age.read_some(piece, kLongestWait))
    s.to.write({reinterpret_cast<const std::uint8_t*>(piece.data()), got});
  if (s.age.finish(kLongestWait) != 0)
    throw Error(Errc::failed, fmt::format("encrypt: {}", said(s.age.error_text())), "run the command again");
  s.to.finish();
}

std::uint64_t AgeOutput::size_bytes() const { return state_->to.size_bytes(); }

io::Sha256Digest AgeOutput::sha256() { return state_->to.sha256(); }

Decrypted decrypt_age(const fs::path& file, const fs::path& identity, const fs::path& scratch) {
  if (identity.empty()) throw Error(Errc::usage, fmt::format("{} is encrypted", io::shown(file)), kIdentityHint);
  io::open_file(identity, O_RDONLY);  // age's words for a file that is not there are less plain
  const io::StagedFile clear(scratch / "archive.clear", 0600);
  io::ProcessResult result;
  try {
    // Both are absolute, or age would take a name that begins with '-' for an option.
    result = io::run_process({kProgram, "--decrypt", "--identity", fs::absolute(identity), fs::absolute(file)},
                             clear.temporary_path(), {});
  } catch (const Error& error) {
    if (error.code() == Errc::not_found) throw_missing();
    throw;
  }
  Decrypted decrypted;
  decrypted.fd.reset(::fcntl(clear.fd(), F_DUPFD_CLOEXEC, 3));
  if (!decrypted.fd) throw_errno("open", io::shown(clear.temporary_path()));
  if (result.status == 0) return decrypted;
  decrypted.fault = fmt::format("{} cannot be decrypted to its end: {}", io::shown(file), said(result.error_text));
  if (io::file_size(decrypted.fd.get(), clear.temporary_path()) > 0) return decrypted;
  const bool is_key = result.error_text.find("no identity matched") != std::string::npos ||
                      result.error_text.find("identity file") != std::string::npos ||
                      result.error_text.find(identity.filename().string()) != std::string::npos;
  throw Error(is_key ? Errc::usage : Errc::corrupt, decrypted.fault, is_key ? kIdentityHint : "");
}

}  // namespace reef::backup
