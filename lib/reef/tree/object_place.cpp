#include "reef/tree/object_place.h"

#include <fmt/format.h>

#include <string_view>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/folders.h"

namespace reef::tree {
namespace {

constexpr std::string_view kScheme = "s3://";
constexpr const char* kSection = "backup.tier3";

}  // namespace

bool is_s3_name(const std::string& name) { return name.starts_with(kScheme); }

io::S3Place s3_place(const std::string& name, const Tree& tree, const Config& config) {
  const std::string path = name.substr(kScheme.size());
  const std::size_t slash = std::min(path.find('/'), path.size());
  const auto setting = [&](const char* key) { return config.text("system", fmt::format("{}.{}", kSection, key)); };
  io::S3Place place;
  place.section = kSection;
  place.bucket = path.substr(0, slash);
  place.prefix = path.substr(std::min(slash + 1, path.size()));
  while (place.prefix.ends_with('/')) place.prefix.pop_back();
  place.sigv4.region = setting("region");
  place.endpoint = setting("endpoint");
  if (place.endpoint.empty()) place.endpoint = fmt::format("https://s3.{}.amazonaws.com", place.sigv4.region);
  if (const std::string key_file = setting("key_file"); !key_file.empty())
    place.sigv4.key_file = tree.root() / key_file;
  place.require_named();
  return place;
}

std::optional<ObjectPlace> tier3_place(const Tree& tree, const Config& config) {
  const std::string to = config.text("system", fmt::format("{}.to", kSection));
  if (to.empty()) return std::nullopt;
  if (is_s3_name(to)) return ObjectPlace{{}, s3_place(to, tree, config)};
  return ObjectPlace{tree.root() / to, {}};
}

std::unique_ptr<io::ObjectStore> open_object_store(const ObjectPlace& place, const std::filesystem::path& scratch) {
  if (!place.s3) return std::make_unique<io::FolderStore>(place.folder);
  place.s3->require_usable();
  make_folders(scratch);
  return std::make_unique<io::S3Store>(*place.s3, scratch);
}

}  // namespace reef::tree
