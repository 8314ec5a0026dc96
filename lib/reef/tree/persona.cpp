#include "reef/tree/persona.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/tree/internal/edit.h"

namespace reef::tree {

bool is_persona_id(std::string_view id) {
  constexpr std::size_t kLongest = 64;
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !id.empty() && id.size() <= kLongest && plain(id[0]) &&
         std::all_of(id.begin(), id.end(), [&](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; });
}

void require_persona_id(std::string_view id) {
  if (is_persona_id(id)) return;
  throw Error(Errc::usage, fmt::format("'{}' is no persona id", to_valid_utf8(id)),
              "an id has 1 to 64 of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");
}

std::vector<std::string> personas(const Config& config) {
  auto ids = config.names("personas", "personas");
  std::sort(ids.begin(), ids.end());
  return ids;
}

void require_persona(const Config& config, const std::string& id) {
  require_persona_id(id);
  const auto ids = personas(config);
  if (std::binary_search(ids.begin(), ids.end(), id)) return;
  const auto meant = nearest(id, ids);
  throw Error(Errc::not_found,
              fmt::format("no persona '{}'{}", id, meant ? fmt::format(", did you mean '{}'?", *meant) : ""),
              fmt::format("add it with 'reef-init --persona {}'", id));
}

bool is_adapter_bound(const Config& config, const std::string& id, const std::string& adapter) {
  const std::vector<std::string> bound = config.list("personas", fmt::format("personas.{}.adapters", id));
  return std::any_of(bound.begin(), bound.end(),
                     [&](const std::string& name) { return name == adapter || name == "adapters/" + adapter; });
}

bool bind_adapter(const Tree& tree, const std::string& id, const std::string& adapter, std::chrono::milliseconds wait) {
  const fs::path path = tree.config("personas.yaml");
  const io::LockFile lock(tree.root() / internal::kEditLock, wait);
  io::remove_stale(path.parent_path());
  const Config config = Config::load(tree, {"personas"});  // as it is under the lock
  require_persona(config, id);
  if (is_adapter_bound(config, id, adapter)) return false;
  const internal::ConfigText text{"personas", io::shown(path), io::read_file(path, 8 << 20)};
  io::replace_file(path, internal::with_persona_item(text, id, "adapters", adapter));
  return true;
}

}  // namespace reef::tree
