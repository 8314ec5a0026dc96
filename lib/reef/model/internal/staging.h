#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/file.h"
#include "reef/model/chunks.h"
#include "reef/model/internal/source.h"
#include "reef/model/internal/staged_folder.h"
#include "reef/model/manifest.h"
#include "reef/model/weights.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// A file that is new, synced.
void write_new(const std::filesystem::path& path, std::string_view text);

/// The files of a manifest, to be taken from `folder`.
std::vector<SourceFile> files_of(const Manifest& manifest, const std::filesystem::path& folder);

/// SHA-256 of a file, every byte told to `progress`.
std::string digest_of(const std::filesystem::path& file, Progress& progress);

/// The digests of chunks that a model's folder has for each of its files; none where their table is damaged.
std::vector<ChunkDigests> known_chunks(const std::filesystem::path& folder, const Manifest& manifest);

/// Whether the files at `places`, whose sizes are known to be those of the manifest, have its bytes. `what` is told to
/// `progress`.
bool are_sound(const Manifest& manifest, const std::vector<std::filesystem::path>& places,
               std::vector<ChunkDigests> chunks, unsigned threads, std::string_view what, Progress& progress);

/// Whether a folder has every byte that the manifest names, and the digests of its chunks.
bool is_intact(const std::filesystem::path& folder, const Manifest& manifest, unsigned threads, Progress& progress);

/// Locks models/ against other runs that change it, makes the folders of the kinds, mends and removes what killed runs
/// left.
io::LockFile lock_models(const tree::Tree& tree, std::chrono::milliseconds wait);

/// A model on its way to its place: its files are brought into a folder beside that, read there, compared with what
/// they must be, and published by one rename. Until then nothing is to be seen, and a kill leaves what remove_stale()
/// finds.
class Staging {
 public:
  enum class How {
    copy,  ///< blocks are shared where the filesystem can
    link,  ///< the source's files stay; copied where the filesystem has no hard links
    move,  ///< from a folder that is ours, on this filesystem
  };
  Staging(std::filesystem::path target, Progress& progress);

  const std::filesystem::path& path() const { return folder_.path(); }
  void bring(const std::vector<SourceFile>& files, How how);
  /// One file; its bytes are told to the progress that has begun.
  void bring(const SourceFile& file, How how);
  /// Where the file of that path goes; the folders above it are made.
  std::filesystem::path place_of(const std::string& path) const;
  /// Headers of the weights that were brought, by the rules of their formats. Throws Error{corrupt}.
  std::vector<WeightFile> weights(const Manifest& manifest) const;
  /// Reads what was brought, and fills sizes and digests into the manifest. `weights` are for the digests of headers.
  /// `with_tensors`: also of each tensor.
  void digest(Manifest& manifest, const std::vector<WeightFile>& weights, unsigned threads, bool with_tensors = false);
  /// Of digest(): those of each file's chunks.
  const std::vector<ChunkDigests>& chunks() const { return chunks_; }
  /// Writes manifest and chunk digests (and a signature, if there is one), then publishes. `text` is the manifest as it
  /// stands in the file: the digests of chunks are written that it tells of.
  void publish(const Manifest& manifest, std::string_view text, std::string_view signature = {});

 private:
  std::filesystem::path target_;
  Progress& progress_;
  StagedFolder folder_;
  std::vector<ChunkDigests> chunks_;
};

/// The files that are not what `expected` says, in its order; such as are missing among them.
std::vector<const ManifestFile*> differing_files(const Manifest& expected, const Manifest& found);
/// "model.safetensors: sha256 is …, <expecter> says …", or "… is missing, <expecter> lists it".
std::string difference(const Manifest& found, const ManifestFile& expected, std::string_view expecter,
                       const std::filesystem::path& folder);

}  // namespace reef::model::internal
