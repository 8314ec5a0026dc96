#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/core/progress.h"
#include "reef/io/checksum.h"

namespace reef::io {

struct StoredObject {
  std::string key;
  std::uint64_t bytes = 0;
};

/// Whether a name can be one of an object: of A-Z a-z 0-9 . _ - and '/' between parts of which none is empty or begins
/// with a dot, 900 bytes at most. Clients and servers sign other characters differently.
bool is_object_key(std::string_view key);

/// Named bytes in a folder or in a bucket of an S3 service. An object appears whole or not at all, durably, in place of
/// the one that had its name; nothing changes a part of one.
///
/// Methods throw Error{failed} naming the object, what the service said and what to look at, Error{not_found} for an
/// object that is to be read and is not there, Error{corrupt} for bytes that are not those promised,
/// Error{interrupted}. A key that is none is a fault of the caller: std::logic_error. One thread at a time.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// The place, for messages: "/mnt/nas/tier3", "s3://tower/reef".
  virtual std::string name() const = 0;
  /// Where an object would be a file of this machine, whose folder may be missing; nullopt where none is. A StagedFile
  /// committed there is an object.
  virtual std::optional<std::filesystem::path> local_path(const std::string& key) const = 0;

  /// Those whose keys begin with `prefix`, which need be no key, ascending by the bytes of their keys.
  virtual std::vector<StoredObject> list(const std::string& prefix) = 0;
  /// How many bytes an object has; nullopt where there is none.
  virtual std::optional<std::uint64_t> find(const std::string& key) = 0;

  virtual void put(const std::string& key, std::string_view bytes) = 0;
  /// Stores a file whose digest the caller knows; a file with another one is Error{failed}, and nothing is stored. What
  /// an interrupted run has sent of it counts for the next one. Progress is told of its bytes, without begin().
  virtual void put_file(const std::string& key, const std::filesystem::path& file, const Sha256Digest& sha256,
                        Progress& progress) = 0;

  /// The whole of an object. Error{corrupt} above `max_bytes`.
  virtual std::string get(const std::string& key, std::uint64_t max_bytes) = 0;
  /// Brings an object into a file, which appears whole, with the digest that it must have. What an interrupted run
  /// brought of it counts where the object is far away. Progress is told of its bytes, without begin().
  virtual void get_file(const std::string& key, const std::filesystem::path& file, const Sha256Digest& sha256,
                        Progress& progress) = 0;
  /// Hands on `count` bytes from `offset`, in order, in pieces; all of them lie within the object, and are of one
  /// version of it. They are compared with nothing. What `take` throws is thrown on.
  virtual void read(const std::string& key, std::uint64_t offset, std::uint64_t count,
                    const std::function<void(std::span<const std::uint8_t>)>& take) = 0;

  /// Whether it was there is not told.
  virtual void remove(const std::string& key) = 0;

  /// Removes what killed runs left that no later one would go on with. The caller is the only one who writes.
  virtual void clean_up() = 0;
};

/// A store that is a folder, which must be there: what follows '/' in a key is below folders of it. Other files in it
/// whose names are no keys are left alone, as hidden ones are.
class FolderStore : public ObjectStore {
 public:
  explicit FolderStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

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
  std::filesystem::path path_of(const std::string& key) const;
  void make_folders_of(const std::filesystem::path& file) const;

  std::filesystem::path folder_;
};

}  // namespace reef::io
