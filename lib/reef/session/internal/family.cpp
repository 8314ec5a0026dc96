#include "reef/session/internal/family.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace reef::session::internal {

void keep_places(io::Database& conversations, Conversation& tree) {
  const std::string branches = tree.family + "-branch-";
  std::map<std::string, std::string> places;  // of the messages that are stored
  std::set<std::string> taken;
  // Names of branches begin alike and end in digits; '.' comes before them, ':' behind.
  auto stored = conversations.prepare(
      "SELECT session_id, external_id FROM messages WHERE session_id = ?1 OR (session_id > ?2 AND session_id < ?3)");
  stored.bind(1, tree.family).bind(2, branches).bind(3, branches + ":");
  while (stored.step()) {
    taken.emplace(stored.text(0));
    places.emplace(stored.text(1), stored.text(0));
  }
  if (places.empty()) return;
  std::map<std::string, std::string> renamed{{tree.family, tree.family}};
  for (const NewMessage& message : tree.messages)
    if (const auto at = places.find(message.external_id); at != places.end() && message.session != tree.family)
      renamed[message.session] = at->second;
  int next = 0;
  for (NewMessage& message : tree.messages) {
    if (const auto at = places.find(message.external_id); at != places.end()) {
      message.session = at->second;
      continue;
    }
    auto [name, is_new] = renamed.try_emplace(message.session);
    if (is_new) {
      do name->second = fmt::format("{}{}", branches, ++next);
      while (!taken.insert(name->second).second);
    }
    message.session = name->second;
  }
}

}  // namespace reef::session::internal
