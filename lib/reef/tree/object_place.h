#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "reef/io/object_store.h"
#include "reef/io/s3_store.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tree {

/// Where tier 3 is: in a folder, or in a bucket of an S3 service.
struct ObjectPlace {
  std::filesystem::path folder{};  ///< empty: in a bucket
  std::optional<io::S3Place> s3{};
};

/// Whether a place's name says that it is in a bucket: "s3://BUCKET/PREFIX".
bool is_s3_name(const std::string& name);

/// A bucket by its name, and what backup.tier3.endpoint, .region and .key_file say of its service, as all buckets are
/// reached. Throws Error{usage} naming what is at fault; whether there is a key in the file is not looked at.
io::S3Place s3_place(const std::string& name, const Tree& tree, const Config& config);

/// What backup.tier3.to says; nullopt where it is empty. Throws as s3_place() does.
std::optional<ObjectPlace> tier3_place(const Tree& tree, const Config& config);

/// The store at a place. That of a bucket has its records of uploads in `scratch`, which is made. Throws Error{usage}
/// for a bucket whose key file cannot be used.
std::unique_ptr<io::ObjectStore> open_object_store(const ObjectPlace& place, const std::filesystem::path& scratch);

}  // namespace reef::tree
