#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/download.h"
#include "reef/model/chunks.h"
#include "reef/model/internal/fetch_source.h"
#include "reef/model/internal/staging.h"
#include "reef/model/manifest.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// A model on its way from a server: models/.fetch/NAME, which stays until the model is published, so that the next run
/// goes on with it. It holds manifest.json (of which version the files are parts), manifest.chunks and files/, or, of a
/// model that is one file, a folder by the digest of that. The caller holds the lock of models/.fetch.
class Fetching {
 public:
  /// Makes the folder, and removes what killed runs left in it that counts for nothing.
  Fetching(const tree::Tree& tree, std::string name, Progress& progress);

  /// Brings a model that is one file: that of the store, or its object of the digest. Throws Error{corrupt} when the
  /// file is another one, Error{not_found}, and as io::download() does.
  std::filesystem::path bring_file(const FileStore& store, const std::string& file_name, const std::string& sha256);

  /// Brings the manifest, and its chunk digests and signature where there are such. `pinned` may be empty. Parts of
  /// another version are removed. Throws Error{not_found}, Error{corrupt}, Error{usage}.
  const Manifest& bring_manifest(const FileStore& store, const std::string& pinned);
  /// Brings what is missing of the manifest's files. Throws Error{failed} when the disk has no room for them.
  void bring_files();
  /// Compares every byte, fetches again what was damaged here, and publishes the model with the manifest as it came.
  void publish(const std::filesystem::path& target, unsigned threads);

  std::uint64_t received_bytes() const { return received_; }
  std::uint64_t earlier_bytes() const { return earlier_; }
  /// After the model is published.
  void remove();
  /// What a run left that was killed after it had published.
  static void remove(const tree::Tree& tree, const std::string& name);

 private:
  std::string name_of(const std::string& path, const std::string& sha256) const;
  io::Downloaded bring(const std::string& path, const std::string& sha256, const std::filesystem::path& target,
                       std::optional<std::uint64_t> bytes, std::uint64_t max_bytes, bool may_be_absent,
                       Progress& progress);
  std::optional<std::string> bring_text(const std::string& path, const std::string& sha256, std::uint64_t max_bytes,
                                        bool may_be_absent);
  void check_names(const std::string& where) const;
  void read_chunks();
  bool stage_and_publish(const std::filesystem::path& target, unsigned threads);
  void repair(const ManifestFile& expected, const Manifest& found, const std::vector<ChunkDigests>& chunks);
  const io::HttpHelper& http();
  std::filesystem::path files() const { return folder_ / "files"; }

  const tree::Tree& tree_;
  std::string name_;
  Progress& progress_;
  std::filesystem::path folder_;
  std::unique_ptr<io::HttpHelper> http_;
  FileStore store_;
  Manifest manifest_;
  std::string manifest_text_, signature_;
  std::vector<ChunkDigests> chunks_;                 ///< that they must have; of each file none where it is not known
  std::map<std::string, std::uint64_t> earlier_of_;  ///< bytes of a file that an earlier run brought
  std::uint64_t received_ = 0, earlier_ = 0;
};

}  // namespace reef::model::internal
