#include "reef/tree/persona_change.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/tree/persona.h"

namespace reef::tree {
namespace {

constexpr std::uint64_t kLargest = 4096;
constexpr std::string_view kHead = "reef persona change ";
constexpr PersonaChange::Kind kKinds[] = {PersonaChange::Kind::rename, PersonaChange::Kind::remove,
                                          PersonaChange::Kind::import};

std::string text_of(const PersonaChange& change) {
  return fmt::format("{}1\nkind {}\npersona {}\nto {}\nbegan {}\n", kHead, kind_name(change.kind), change.persona,
                     change.to, change.began);
}

std::string with_sum(const std::string& text) {
  return fmt::format("{}xxh3 {:016x}\n", text,
                     io::xxh3({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
}

/// The value of the next line, which begins with `key`.
std::optional<std::string> take_line(std::string_view& rest, std::string_view key) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos || !rest.starts_with(key)) return std::nullopt;
  std::string value(rest.substr(key.size(), end - key.size()));
  rest.remove_prefix(end + 1);
  return value;
}

std::optional<PersonaChange> parse(std::string_view text) {
  const auto end = text.find("xxh3 ");
  if (end == std::string_view::npos || with_sum(std::string(text.substr(0, end))) != text) return std::nullopt;
  PersonaChange change;
  std::string_view rest = text;
  const auto head = take_line(rest, kHead), kind = take_line(rest, "kind "), persona = take_line(rest, "persona "),
             to = take_line(rest, "to "), began = take_line(rest, "began ");
  if (!head || !kind || !persona || !to || !began || !is_persona_id(*persona)) return std::nullopt;
  change.persona = *persona;
  change.to = *to;
  change.began = *began;
  for (const auto known : kKinds)
    if (*kind == kind_name(known)) {
      change.kind = known;
      return change;
    }
  return std::nullopt;
}

}  // namespace

const char* kind_name(PersonaChange::Kind kind) {
  switch (kind) {
    case PersonaChange::Kind::rename:
      return "rename";
    case PersonaChange::Kind::remove:
      return "remove";
    case PersonaChange::Kind::import:
      return "import";
  }
  return "";
}

fs::path change_file(const Tree& tree) { return tree.root() / ".reef-persona-change"; }

fs::path persona_lock_file(const Tree& tree) { return tree.root() / ".reef-persona.lock"; }

std::optional<PersonaChange> pending_change(const Tree& tree) {
  const fs::path file = change_file(tree);
  std::string text;
  try {
    text = io::read_file(file, kLargest);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    return std::nullopt;
  }
  if (text.starts_with(kHead) && !text.starts_with(fmt::format("{}1\n", kHead)))
    throw Error(Errc::usage, fmt::format("{} is of a newer version", io::shown(file)),
                "use the version of reef that wrote it, or a newer one");
  auto change = parse(text);
  if (!change)
    throw Error(Errc::corrupt, fmt::format("{} cannot be read", io::shown(file)),
                "it says which persona was being renamed, removed or imported: 'reef-persona list' and personas.yaml "
                "tell what became of it; then remove the file");
  return change;
}

void begin_change(const Tree& tree, const PersonaChange& change) {
  io::replace_file(change_file(tree), with_sum(text_of(change)));
}

void end_change(const Tree& tree) {
  const fs::path file = change_file(tree);
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) throw_errno("remove", io::shown(file));
  io::sync_directory(tree.root());
}

}  // namespace reef::tree
