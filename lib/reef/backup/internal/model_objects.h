#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "reef/backup/entry.h"
#include "reef/core/progress.h"
#include "reef/io/checksum.h"
#include "reef/io/object_store.h"

namespace reef::backup::internal {

/// Stores files of models by digest, each once.
///
/// What was found of a file stays in `scratch`/model_digests, one line of sealed JSON: {"format":"reef digests of
/// models","version":1,"files":[{"path","state","bytes","sha256"}],"xxh3"}, so that a file whose state is the same is
/// not read again. It is only ever believed of the state that was hashed.
class ModelObjects {
 public:
  /// `damaged`: digests of objects that are stored anew though they are there.
  ModelObjects(io::ObjectStore& store, std::filesystem::path scratch, std::set<std::string> damaged);

  /// Reads what must be read, and stores what is not there. Throws what content does.
  io::Sha256Digest put(const Entry& entry, Content& content, Progress& progress);
  /// Remembers what was put.
  void save() const;

  std::uint64_t added_bytes() const { return added_; }
  /// Of those that were damaged, the ones stored anew.
  const std::set<std::string>& mended() const { return mended_; }

 private:
  struct Known {
    std::string state;
    std::uint64_t bytes = 0;
    io::Sha256Digest digest{};
  };
  void load();
  bool is_stored(const io::Sha256Digest& digest, std::uint64_t bytes);
  io::Sha256Digest store_in_folder(Content& content, const std::filesystem::path& models);
  io::Sha256Digest store_far_away(Content& content, Progress& progress);

  io::ObjectStore& store_;
  std::filesystem::path scratch_;
  std::set<std::string> damaged_;
  std::set<std::string> mended_;
  std::map<std::string, Known> known_;  ///< by path, of earlier runs
  std::map<std::string, Known> put_;    ///< of this one
  std::uint64_t added_ = 0;
};

}  // namespace reef::backup::internal
