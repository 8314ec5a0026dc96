#include "reef/tree/persona.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/tree/internal/edit.h"

namespace reef::tree {
namespace {

fs::path personas_file(const Tree& tree) { return tree.config("personas.yaml"); }

/// The text of personas.yaml with one adapter more; nullopt where the persona has it.
std::optional<std::string> with_adapter(const Tree& tree, const std::string& id, const std::string& adapter) {
  const Config config = Config::load(tree, {"personas"});
  require_persona(config, id);
  const std::vector<std::string> bound = config.list("personas", fmt::format("personas.{}.adapters", id));
  if (std::any_of(bound.begin(), bound.end(),
                  [&](const std::string& name) { return name == adapter || name == "adapters/" + adapter; }))
    return std::nullopt;
  const fs::path path = personas_file(tree);
  const internal::ConfigText text{"personas", io::shown(path), io::read_file(path, 8 << 20)};
  return internal::with_persona_item(text, id, "adapters", adapter);
}

}  // namespace

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

bool bind_adapter(const Tree& tree, const std::string& id, const std::string& adapter, std::chrono::milliseconds wait) {
  const fs::path path = personas_file(tree);
  const io::LockFile lock(tree.root() / internal::kEditLock, wait);
  io::remove_stale(path.parent_path());
  const auto text = with_adapter(tree, id, adapter);  // of the file as it is under the lock
  if (text) io::replace_file(path, *text);
  return text.has_value();
}

bool would_bind_adapter(const Tree& tree, const std::string& id, const std::string& adapter) {
  return with_adapter(tree, id, adapter).has_value();
}

}  // namespace reef::tree
