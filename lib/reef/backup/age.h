#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "reef/backup/archive_output.h"
#include "reef/io/unique_handle.h"

namespace reef::backup {

/// Runs `age` (1.1 or newer) on nothing, so that a missing program and recipients that are none are found before
/// anything is written: Error{usage} naming what it says. Recipients are public keys as age prints them ("age1…",
/// "ssh-ed25519 …"); only they ever stand on its command line.
void check_age(const std::vector<std::string>& recipients);

/// Encrypts what it is given through `age`. What is marked waits in a file of `scratch` until it is released, since
/// nothing can be taken back from a program: so that folder needs room for the largest file of a tree.
class AgeOutput : public ArchiveOutput {
 public:
  /// `to` gets what age writes, must outlive it, and be of no other use.
  AgeOutput(const std::vector<std::string>& recipients, ArchiveOutput& to, const std::filesystem::path& scratch);
  ~AgeOutput() override;

  void write(std::span<const std::uint8_t> bytes) override;
  void mark() override;
  void rewind() override;
  void release() override;
  void finish() override;
  std::uint64_t size_bytes() const override;
  io::Sha256Digest sha256() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What age made of a file.
struct Decrypted {
  io::UniqueFd fd;    ///< a file that is gone when it is closed
  std::string fault;  ///< why it is not all; empty: it is
};

/// Decrypts `file` with the identities in the file `identity`, into a file in `scratch` that has no name for longer
/// than it takes. Throws Error{usage} where there is no identity or none of them fits, Error{corrupt} where age gets
/// nothing out of the file.
Decrypted decrypt_age(const std::filesystem::path& file, const std::filesystem::path& identity,
                      const std::filesystem::path& scratch);

}  // namespace reef::backup
