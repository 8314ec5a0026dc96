#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model {

struct RepackOptions {
  std::string name{};
  /// Of the data's first byte; a power of two from 8 to 2 MiB. 64 is a cache line, and the widest load of a CPU.
  std::uint64_t alignment = 64;
  bool force = false;  ///< also a model that makes vectors
  bool dry_run = false;
  unsigned threads = 1;
  std::chrono::milliseconds wait{0};  ///< for the lock of models/
};

struct RepackedFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t tensors = 0;
  std::uint64_t unaligned = 0;  ///< tensors that did not begin at a multiple of their element's size
  bool is_reordered = false;    ///< else blanks in the header were enough
};

struct RepackResult {
  std::string name;
  Kind kind = Kind::base;
  std::filesystem::path folder;
  std::uint64_t alignment = 0;
  bool has_safetensors = false;
  bool has_gguf = false;  ///< whose tensors are aligned by the format
  bool dry_run = false;
  bool removes_signature = false;     ///< it signed the manifest of before
  std::vector<RepackedFile> files{};  ///< written anew; none: all was so already
};

/// Writes the safetensors files of a model anew, so that every tensor begins at a multiple of its element's size and
/// the data at a multiple of the alignment. Bytes and metadata of the tensors stay, as do the other files; what the
/// manifest says beside digests stays, too.
///
/// What is read is compared with the digests that the manifest has of it, what was written with what was read, and the
/// model is published by one rename: a fault or a kill leaves it as it was. Memory is bounded whatever the tensors.
///
/// Throws Error{usage} for an alignment that is none, for files that are not in the manifest, and for an encoder of
/// texts without `force`: stores know it by the digest of its weights; Error{corrupt} naming chunk and tensor,
/// Error{not_found}, Error{locked}, Error{failed}, Error{interrupted}.
RepackResult repack_model(const tree::Tree& tree, const RepackOptions& options, Progress& progress);

std::string to_json(const RepackResult& result);
std::string to_text(const RepackResult& result);

}  // namespace reef::model
