#include "reef/tree/tree.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::tree {

Scope Scope::persona(const std::string& id) {
  require_persona_id(id);
  return Scope(id);
}

Scope Scope::parse(std::string_view name) {
  constexpr std::string_view kPrefix = "persona:";
  if (name == "shared") return shared();
  if (name.starts_with(kPrefix)) return persona(std::string(name.substr(kPrefix.size())));
  throw Error(Errc::corrupt, fmt::format("'{}' is no scope", name));
}

fs::path Tree::find_root(const std::optional<std::string>& flag) {
  if (flag) {
    if (flag->empty()) throw Error(Errc::usage, "--root is empty", "name the folder of the storage tree");
    return fs::absolute(*flag);
  }
  if (const char* variable = std::getenv("REEF_ROOT"); variable != nullptr && *variable != '\0')
    return fs::absolute(variable);
  return "/coral-reef";
}

Tree Tree::open(const fs::path& root) {
  Tree tree(root);
  std::string marker;
  try {
    marker = io::read_file(tree.marker(), 4096);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(
        Errc::not_found, fmt::format("no storage tree at {}", io::shown(root)),
        fmt::format("run 'reef-init --root {}', or name another folder with --root or REEF_ROOT", io::shown(root)));
  }
  constexpr std::string_view kStart = "reef tree ";
  int version = 0;
  const char* digits = marker.c_str() + kStart.size();
  if (!marker.starts_with(kStart) ||
      std::from_chars(digits, marker.c_str() + marker.size(), version).ec != std::errc{} || version < 1)
    throw Error(Errc::corrupt, fmt::format("{} does not say the version of the tree", io::shown(tree.marker())),
                fmt::format("it must read 'reef tree {}'; 'reef-init --check' compares the rest", kTreeVersion));
  if (version > kTreeVersion)
    throw Error(
        Errc::usage,
        fmt::format("the tree at {} has version {}, this program knows {}", io::shown(root), version, kTreeVersion),
        "install the reef that made it, or a newer one; nothing was changed");
  return tree;
}

fs::path Tree::vectors(const Scope& scope) const {
  return scope.is_shared() ? root_ / "vectors/shared" : root_ / "vectors/personas" / scope.persona_id();
}

const std::vector<std::string>& Tree::folders() {
  static const std::vector<std::string> kFolders{"config",
                                                 "models",
                                                 "models/base",
                                                 "models/quantized",
                                                 "models/adapters",
                                                 "vectors",
                                                 "vectors/shared",
                                                 "vectors/personas",
                                                 "vectors/conversations",
                                                 "data",
                                                 "data/documents",
                                                 "data/documents/raw",
                                                 "data/documents/processed",
                                                 "data/conversations",
                                                 "data/memories",
                                                 "cache",
                                                 "cache/model_cache",
                                                 "cache/embedding_cache",
                                                 "cache/inference_cache"};
  return kFolders;
}

}  // namespace reef::tree
