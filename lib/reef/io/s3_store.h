#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "reef/io/http.h"
#include "reef/io/object_store.h"

namespace reef::io {

/// Where in which S3 service objects are, and whose key opens it.
struct S3Place {
  std::string section;   ///< "backup.tier3": errors name its keys, .to, .endpoint, .region and .key_file
  std::string endpoint;  ///< "https://s3.us-east-1.amazonaws.com"; the bucket is asked for as a folder of it
  std::string bucket;
  std::string prefix;  ///< a key's beginning, without '/' at its ends; may be empty
  SigV4 sigv4;

  /// "s3://tower/reef"
  std::string name() const;
  /// "http://127.0.0.1:8333/tower/reef"
  std::string url() const;
  /// Throws Error{usage} naming the setting: no address, a bucket that cannot be one, no key file.
  void require_named() const;
  /// Also for a prefix that keys cannot have, and a key file that cannot be used, as require_private() does.
  void require_usable() const;
};

/// Throws Error{usage} for a file with a secret that is not there, or that others than its owner may read. `setting`
/// names it.
void require_private(const std::filesystem::path& file, const std::string& setting);

struct S3Options {
  std::uint64_t part_bytes = 32 << 20;  ///< of a file that is sent; S3 takes no smaller ones than 5 MiB
  bool reads_back = false;              ///< reads each file that it sent again, and compares the digest
  int attempts = 6;                     ///< of a request, while another one may find an answer
  std::chrono::seconds stall = std::chrono::seconds(30);
};

namespace internal {
class S3Client;
}

/// Objects in a bucket. Requests are signed, carry the SHA-256 of what they send and are met with another try after
/// drops, stalls, 429 and 5xx.
///
/// Files above `part_bytes` are sent in parts. Which arrived stands in a record in `scratch`, so that a later run sends
/// the missing ones alone; that folder is there, and one process at a time writes with it. Reading needs no record, but
/// the folder for its helper's files.
class S3Store : public ObjectStore {
 public:
  S3Store(S3Place place, std::filesystem::path scratch, const S3Options& options = {});
  ~S3Store() override;

  std::string name() const override;
  std::optional<std::filesystem::path> local_path(const std::string& key) const override;
  std::vector<StoredObject> list(const std::string& prefix) override;
  std::optional<std::uint64_t> find(const std::string& key) override;
  void put(const std::string& key, std::string_view bytes) override;
  void put_file(const std::string& key, const std::filesystem::path& file, const Sha256Digest& sha256,
                Progress& progress) override;
  std::string get(const std::string& key, std::uint64_t max_bytes) override;
  void get_file(const std::string& key, const std::filesystem::path& file, const Sha256Digest& sha256,
                Progress& progress) override;
  void read(const std::string& key, std::uint64_t offset, std::uint64_t count,
            const std::function<void(std::span<const std::uint8_t>)>& take) override;
  void remove(const std::string& key) override;
  void clean_up() override;

 private:
  void check_stored(const std::string& key, std::uint64_t bytes, const std::string& checksum);
  void read_back(const std::string& key, std::uint64_t bytes, const Sha256Digest& sha256);

  S3Place place_;
  std::filesystem::path scratch_;
  S3Options options_;
  std::unique_ptr<internal::S3Client> client_;
};

}  // namespace reef::io
