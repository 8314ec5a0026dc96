#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reef/session/store.h"

namespace reef::session::internal {

/// The messages of one object of a foreign form. Those without an id have an empty external_id, those without a time an
/// empty created: the import completes them as it does with lines of the own form.
struct Conversation {
  std::vector<NewMessage> messages;
  std::vector<std::string> faults;  ///< parts that could not be used
  /// Of ChatGPT: messages of all sessions <id> and <id>-branch-N are of one tree. Empty: no tree.
  std::string family;
  std::vector<std::string> parents;  ///< of a tree: for each message, the id of the one that it answers; empty: none
};

/// {"messages": [{role, content, name, tool_calls, …}], id, created, title}.
Conversation read_openai(std::string_view text);

/// A conversation of ChatGPT's conversations.json: the path that ends at current_node is session <id>; every other leaf
/// makes a session <id>-branch-N of the messages that no session before it has.
Conversation read_chatgpt(std::string_view text);

/// SillyTavern's chats: a line of the chat, then one a message. A message is known by its place in the chat: editing it
/// or choosing another answer changes all that it holds. Where the first line does not name the character, the first
/// message of one does, and those before it come together with it.
class TavernChat {
 public:
  /// `file_stem`: the chat's name; empty: its creation date stands for it.
  explicit TavernChat(std::string file_stem) : file_stem_(std::move(file_stem)) {}
  Conversation header(std::string_view text);
  Conversation message(std::string_view text);
  /// What waited for a name that did not come.
  Conversation end();

 private:
  void name_session(std::string_view character);

  std::string file_stem_, session_, chat_, created_;
  std::vector<NewMessage> unnamed_;
  std::uint64_t place_ = 0;
};

/// SillyTavern's times: "June 19, 2023 2:20pm", "2023-06-19 @14h 20m 55s 123ms", RFC 3339, milliseconds since the
/// epoch. In the database's form; those without an offset count as UTC. Empty when it is none.
std::string time_of_send_date(std::string_view text);

}  // namespace reef::session::internal
