#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace reef::document {

/// Where a source stands between two runs. Work that a killed run left is `pending` or `removing`,
/// and the next run finishes it first.
enum class SourceState { pending, done, failed, removing };
const char* state_name(SourceState state);

/// One file that was ingested into one scope: a row of documents.sqlite, which owns these facts.
struct Source {
  std::int64_t id = 0;
  tree::Scope scope = tree::Scope::shared();
  std::string path;  ///< absolute, UTF-8; "stdin" for what came through a pipe
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::string sha256;        ///< of the content whose chunks the store holds; "" before the first
  std::string next_sha256;   ///< while pending: the content that a run began to take in
  std::string format;        ///< "markdown"
  std::string extension;     ///< of the file in raw/, with its dot
  bool text_only = false;    ///< chunks have no vectors
  std::string model_digest;  ///< of the embedder that made them
  std::vector<std::string> tags;
  SourceState state = SourceState::pending;
  std::string reason;          ///< why it failed, or what of it could not be read
  std::int64_t documents = 0;  ///< that it gave; of those, some may have been removed one by one
  std::string first_seen;
  std::string last_seen;
};

/// data/documents/documents.sqlite. Every call is one short transaction of its own, so that runs
/// over different scopes share the file without waiting for each other.
class Registry {
 public:
  static constexpr int kVersion = 1;
  /// For reading; the file must exist.
  explicit Registry(const std::filesystem::path& path);
  /// For writing; made in the folder `staging` when absent.
  Registry(const std::filesystem::path& path, const std::filesystem::path& staging);

  /// For reading; null when it is not there, or damaged, which `damage` then says.
  static std::unique_ptr<Registry> open_if_sound(const std::filesystem::path& path, std::string* damage = nullptr);

  std::optional<Source> find(const tree::Scope& scope, const std::string& path);
  /// Inserts (id 0) or updates, by (scope, path); sets source.id.
  void save(Source& source);
  void erase(std::int64_t id);
  std::vector<Source> list(const tree::Scope& scope);
  /// Scopes that a source was taken into and holds documents of.
  std::vector<tree::Scope> scopes();
  /// Sources of the scope that a killed run left half done.
  std::vector<Source> unfinished(const tree::Scope& scope);
  /// How many sources, of any scope, need the original that is kept under this extension.
  std::int64_t references(const std::string& sha256, const std::string& extension);
  io::Database& database() { return database_; }

 private:
  io::Database database_;
};

}  // namespace reef::document
