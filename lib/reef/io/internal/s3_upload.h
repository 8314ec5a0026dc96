#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/internal/s3_client.h"
#include "reef/io/internal/upload_record.h"

namespace reef::io::internal {

/// Sends one file in parts: those that a service has acknowledged to an earlier run count.
class S3Upload {
 public:
  S3Upload(const S3Client& client, const std::filesystem::path& scratch, std::uint64_t part_bytes);

  /// Returns the checksum that the object must then have. `is_certain` is false where the last answer was lost, so that
  /// the object alone tells whether it is the new one. Throws Error{failed}; what arrived counts for the next run.
  std::string run(const std::string& key, const std::filesystem::path& file, std::uint64_t bytes,
                  const Sha256Digest& sha256, Progress& progress, bool& is_certain);

  /// Ends uploads below `prefix` of which nobody has sent a part for a day, unless a record here may go on with one
  /// that is not older than eight.
  static void end_old_ones(const S3Client& client, const std::filesystem::path& scratch, const std::string& prefix);

 private:
  void open(const std::string& key, std::uint64_t bytes, const Sha256Digest& sha256);
  std::map<std::uint32_t, S3Part> arrived(const std::string& key) const;
  S3Part send(const std::string& key, std::uint32_t number, const HttpFilePart& part) const;
  bool complete(const std::string& key, const std::vector<S3Part>& parts, const std::string& checksum) const;

  const S3Client& client_;
  std::filesystem::path scratch_, record_file_;
  std::uint64_t part_bytes_;
  UploadRecord record_;
  std::map<std::uint32_t, S3Part> arrived_;
};

/// The parts of an upload; nullopt when the service knows no such upload (any more).
std::optional<std::vector<S3Part>> s3_parts(const S3Client& client, const std::string& key, const std::string& id);
/// Ends an upload, of which nothing stays. That it is not there is no error.
void end_s3_upload(const S3Client& client, const std::string& key, const std::string& id);

}  // namespace reef::io::internal
