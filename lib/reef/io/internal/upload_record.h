#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "reef/io/checksum.h"
#include "reef/io/unique_handle.h"

namespace reef::io::internal {

/// Which parts of a file a service has acknowledged, so that a later run sends the others alone.
///
/// The file is of lines, each ended by a blank and 16 digits: the XXH3 of the line before it. It is read up to the
/// first line that is not whole, so that it may end anywhere:
///
///     reef-upload 1
///     url http://127.0.0.1:8333/tower/reef/models/KEY
///     id UPLOAD-ID
///     file SHA256 BYTES PART-BYTES
///     part NUMBER SHA256 ETAG
///
/// What of it is lost is sent again. The first four lines appear together, before the first part is sent.
class UploadRecord {
 public:
  struct Part {
    Sha256Digest sha256{};
    std::string etag;
  };

  std::string url, id;
  Sha256Digest sha256{};
  std::uint64_t bytes = 0, part_bytes = 0;
  std::map<std::uint32_t, Part> parts;

  /// Where that of an object is: named by its URL's digest.
  static std::filesystem::path path_of(const std::filesystem::path& folder, const std::string& url);
  /// nullopt for a file that is not there, or is no record.
  static std::optional<UploadRecord> read(const std::filesystem::path& path);

  /// Writes it durably, and keeps it open for add().
  void begin(const std::filesystem::path& path);
  /// Notes a part more. Not synced: a part that is forgotten is sent again.
  void add(std::uint32_t number, const Part& part);

 private:
  std::filesystem::path path_;
  UniqueFd fd_;
};

}  // namespace reef::io::internal
