#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "reef/io/http.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::model::internal {

/// Where files of a model are kept that are named by a manifest: below a URL or in a folder.
struct FileStore {
  std::string url{};               ///< ends with '/'; empty: a folder
  bool is_file = false;            ///< the url is that of the one file, with its query
  std::filesystem::path folder{};  ///< where there is no url
  std::optional<io::SigV4> sigv4{};
  bool is_by_digest = false;  ///< files are called models/SHA256, as tier 3 keeps them
};

/// What models.NAME.source may say.
struct FetchSource {
  enum class Form {
    import,  ///< `path`: whatever import takes
    file,    ///< `store` has one file, which import takes
    folder,  ///< `store`: a model's folder as reef keeps it, manifest.json among the files
  };
  Form form = Form::import;
  std::string text;  ///< as written, for messages
  std::filesystem::path path{};
  std::string file_name{};  ///< of the one file: "gemma-3-4b-Q4_K_M.gguf"
  FileStore store{};
};

/// Reads a source. `base` is what relative paths count from. Throws Error{usage} for a scheme that there is not, a URL
/// that holds secrets or names weights alone, and, naming the key, when the configuration lacks what it takes.
FetchSource parse_fetch_source(const std::string& text, const std::filesystem::path& base, const tree::Tree& tree,
                               const tree::Config& config);

/// Tier 3 of the configuration; nullopt when backup.tier3.to is empty. Throws as parse_fetch_source() does.
std::optional<FileStore> tier3_store(const tree::Tree& tree, const tree::Config& config);

/// models.NAME.sha256: 64 lower-case digits, or empty. Throws Error{usage} naming the key.
std::string pinned_sha256(const tree::Config& config, const std::string& name);

}  // namespace reef::model::internal
