#include "reef/session/internal/family.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace reef::session::internal {

void keep_places(io::Database& conversations, Conversation& tree) {
  const std::string branches = tree.family + "-branch-";
  std::map<std::string, std::string> places;              // sessions of the messages that are stored, or placed
  std::map<std::string, std::string> parents;             // of the tree's messages
  std::set<std::string> taken;                            // sessions
  std::set<std::pair<std::string, std::string>> answers;  // (parent, session) in which an answer to it stands
  for (std::size_t i = 0; i < tree.messages.size(); ++i) parents[tree.messages[i].external_id] = tree.parents[i];
  // Names of branches begin alike and end in digits; '.' comes before them, ':' behind.
  auto stored = conversations.prepare(
      "SELECT session_id, external_id FROM messages WHERE session_id = ?1 OR (session_id > ?2 AND session_id < ?3)");
  // Only of messages that the tree does not have any more.
  auto parent_of = conversations.prepare(
      "SELECT json_extract(metadata, '$.parent') FROM messages"
      " WHERE session_id = ? AND external_id = ? AND json_valid(metadata)");
  stored.bind(1, tree.family).bind(2, branches).bind(3, branches + ":");
  while (stored.step()) {
    const std::string session(stored.text(0)), id(stored.text(1));
    taken.insert(session);
    if (id.empty()) continue;  // of another program
    places.emplace(id, session);
    if (const auto known = parents.find(id); known != parents.end()) {
      answers.emplace(known->second, session);
      continue;
    }
    parent_of.reset().bind(1, session).bind(2, id);
    if (parent_of.step() && !parent_of.text(0).empty()) answers.emplace(std::string(parent_of.text(0)), session);
  }
  if (places.empty()) return;
  int next = 0;
  for (NewMessage& message : tree.messages) {
    const auto at = places.find(message.external_id);
    if (at != places.end()) {
      message.session = at->second;
      continue;
    }
    const std::string& parent = parents[message.external_id];
    const auto above = parent.empty() ? places.end() : places.find(parent);
    message.session = above == places.end() ? tree.family : above->second;
    if (!answers.emplace(parent, message.session).second) {
      do message.session = fmt::format("{}{}", branches, ++next);
      while (!taken.insert(message.session).second);
      answers.emplace(parent, message.session);
    }
    places.emplace(message.external_id, message.session);
  }
}

}  // namespace reef::session::internal
