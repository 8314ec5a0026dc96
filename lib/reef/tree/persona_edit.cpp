#include "reef/tree/persona_edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "reef/io/file.h"
#include "reef/tree/config.h"
#include "reef/tree/internal/edit.h"
#include "reef/tree/persona.h"

namespace reef::tree {
namespace {

constexpr std::uint64_t kLargest = 8 << 20;

using Edit = std::function<std::string(const internal::ConfigText&)>;

internal::ConfigText read_personas(const Tree& tree) {
  const fs::path path = tree.config("personas.yaml");
  return {"personas", io::shown(path), io::read_file(path, kLargest)};
}

bool apply(const Tree& tree, const Edit& edit, std::chrono::milliseconds wait) {
  const fs::path path = tree.config("personas.yaml");
  const io::LockFile lock(tree.root() / internal::kEditLock, wait);
  io::remove_stale(path.parent_path());
  const internal::ConfigText before = read_personas(tree);  // as it is under the lock
  const std::string after = edit(before);
  if (after == before.text) return false;
  io::replace_file(path, after);
  return true;
}

bool has(const internal::ConfigText& text, const std::string& id) {
  const auto ids = personas(Config::parse(text.file, text.text, text.shown));
  return std::binary_search(ids.begin(), ids.end(), id);
}

Edit renaming(const std::string& id, const std::string& to) {
  return [=](const internal::ConfigText& text) {
    return has(text, id) ? internal::with_persona_renamed(text, id, to) : text.text;
  };
}

Edit removing(const std::string& id) {
  return
      [=](const internal::ConfigText& text) { return has(text, id) ? internal::without_persona(text, id) : text.text; };
}

Edit adding(const std::string& id, const PersonaSection& section) {
  return [=](internal::ConfigText text) {
    if (has(text, id)) return text.text;
    text.text = internal::with_persona(text, id, section.created);
    if (!section.base.empty()) text.text = internal::with_persona_value(text, id, "base", section.base);
    if (!section.name.empty() && section.name != id)
      text.text = internal::with_persona_value(text, id, "name", section.name);
    for (const std::string& adapter : section.adapters)
      text.text = internal::with_persona_item(text, id, "adapters", adapter);
    return text.text;
  };
}

}  // namespace

PersonaSection persona_section(const Tree& tree, const std::string& id) {
  const Config config = Config::load(tree, {"personas"});
  require_persona(config, id);
  const auto key = [&](const char* name) { return fmt::format("personas.{}.{}", id, name); };
  return {config.text("personas", key("name")), config.text("personas", key("base")),
          config.list("personas", key("adapters")), config.text("personas", key("created"))};
}

bool rename_persona(const Tree& tree, const std::string& id, const std::string& to, std::chrono::milliseconds wait) {
  return apply(tree, renaming(id, to), wait);
}
bool remove_persona(const Tree& tree, const std::string& id, std::chrono::milliseconds wait) {
  return apply(tree, removing(id), wait);
}
bool add_persona(const Tree& tree, const std::string& id, const PersonaSection& section,
                 std::chrono::milliseconds wait) {
  return apply(tree, adding(id, section), wait);
}

void require_renamable(const Tree& tree, const std::string& id, const std::string& to) {
  renaming(id, to)(read_personas(tree));
}
void require_removable(const Tree& tree, const std::string& id) { removing(id)(read_personas(tree)); }
void require_addable(const Tree& tree, const std::string& id, const PersonaSection& section) {
  adding(id, section)(read_personas(tree));
}

}  // namespace reef::tree
