#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::tree {

namespace fs = std::filesystem;

/// A persona's scope, or the shared one; every document, chunk and vector belongs to one scope.
class Scope {
 public:
  static Scope shared() { return Scope({}); }
  /// Throws Error{usage} unless `id` is a valid persona id (persona.h).
  static Scope persona(const std::string& id);
  /// Reads name(): "shared" or "persona:alice".
  static Scope parse(std::string_view name);

  bool is_shared() const { return persona_.empty(); }
  const std::string& persona_id() const { return persona_; }
  std::string name() const { return is_shared() ? "shared" : "persona:" + persona_; }
  friend bool operator==(const Scope&, const Scope&) = default;

 private:
  explicit Scope(std::string persona) : persona_(std::move(persona)) {}
  std::string persona_;
};

/// The version of the layout that this program knows; stands in the marker file.
inline constexpr int kTreeVersion = 1;
inline constexpr std::string_view kMarkerFile = ".reef-tree";

/// Every path of the storage tree (reef-tree(5)). Holds no handles and creates nothing.
class Tree {
 public:
  /// --root if given, else REEF_ROOT, else /coral-reef.
  static fs::path find_root(const std::optional<std::string>& flag);
  /// Throws Error{not_found} when there is no tree at `root` (hint: reef-init), Error{usage} when
  /// its version is newer than kTreeVersion.
  static Tree open(const fs::path& root);
  /// Paths of a tree that may not exist yet: for reef-init.
  static Tree at(const fs::path& root) { return Tree(root); }

  const fs::path& root() const { return root_; }
  fs::path marker() const { return root_ / kMarkerFile; }
  fs::path config(std::string_view file) const { return root_ / "config" / file; }

  fs::path models() const { return root_ / "models"; }
  /// kind: "base", "quantized" or "adapters".
  fs::path models(std::string_view kind) const { return models() / kind; }
  /// Records of models that are in storage.archive; made at need.
  fs::path archived(std::string_view kind) const { return models() / "archived" / kind; }
  /// What is being downloaded, one folder a model; made at need.
  fs::path fetching() const { return models() / ".fetch"; }
  fs::path vectors(const Scope& scope) const;
  fs::path documents() const { return root_ / "data/documents"; }
  fs::path raw() const { return documents() / "raw"; }
  fs::path processed() const { return documents() / "processed"; }
  fs::path registry() const { return documents() / "documents.sqlite"; }
  /// Vectors of the turns of a persona's conversations.
  fs::path turns(const std::string& persona) const { return root_ / "vectors/conversations" / persona; }
  fs::path conversations() const { return root_ / "data/conversations"; }
  fs::path memories(const std::string& persona) const { return root_ / "data/memories" / persona; }
  fs::path cache() const { return root_ / "cache"; }
  fs::path model_cache() const { return cache() / "model_cache"; }
  fs::path embedding_cache() const { return cache() / "embedding_cache"; }
  fs::path inference_cache() const { return cache() / "inference_cache"; }
  /// Compiled encoders: embedding_cache()/encoders.
  fs::path encoders() const { return embedding_cache() / "encoders"; }
  /// What is known of backups: where each tier went last, and how drills of them ended. Never part of a snapshot.
  fs::path backups() const { return root_ / "data/backups"; }
  fs::path query_latency() const { return cache() / "query_latency.bin"; }

  /// Every folder of the layout, parents first, relative to the root.
  static const std::vector<std::string>& folders();

 private:
  explicit Tree(fs::path root) : root_(std::move(root)) {}
  fs::path root_;
};

}  // namespace reef::tree
