#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "reef/io/checksum.h"
#include "reef/session/internal/conversations.h"
#include "reef/session/internal/json_values.h"

namespace reef::session::internal {
namespace {

using nlohmann::json;

struct Node {
  std::string id;
  const json* message = nullptr;  ///< null: none
  std::string parent;             ///< "": a root, also where the parent is missing
  std::vector<std::string> children;
  std::string time;
  bool is_stored = false;  ///< some session has it
};

std::string join(const json& list, std::initializer_list<const char*> keys) {
  std::string text;
  for (const json& item : list)
    for (const char* key : keys)
      if (const std::string piece = text_at(item, key); !piece.empty()) text += (text.empty() ? "" : "\n") + piece;
  return text;
}

/// Of these nothing is to be told when there is no text in them.
constexpr std::array<std::string_view, 11> kKnownKinds{
    "text",         "multimodal_text",       "code",
    "thoughts",     "execution_output",      "tether_browsing_display",
    "tether_quote", "user_editable_context", "model_editable_context",
    "system_error", "reasoning_recap"};

/// By content_type: "text" and "multimodal_text" have parts, "code" and "execution_output" a text, "thoughts" a list,
/// "tether_browsing_display" a result or a summary, "user_editable_context" two texts, "model_editable_context" and
/// "citable_code_output" one by another name, "computer_output" one within its state. "[KIND]" of what is not known.
std::string text_of_content(const json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (value_at(content, "parts").is_array()) return text_of_parts(content.at("parts"));
  if (value_at(content, "thoughts").is_array()) return join(content.at("thoughts"), {"summary", "content"});
  for (const char* key : {"text", "result", "content", "summary", "model_set_context", "output_str"})
    if (std::string text = text_at(content, key); !text.empty()) return text;
  if (std::string text = text_at(value_at(content, "state"), "text"); !text.empty()) return text;
  const std::string kind = text_at(content, "content_type");
  const std::string text = join(json::array({content}), {"user_profile", "user_instructions"});
  const bool is_known = kind.empty() || std::find(kKnownKinds.begin(), kKnownKinds.end(), kind) != kKnownKinds.end();
  return text.empty() && !is_known ? fmt::format("[{}]", kind) : text;
}

json metadata_of(const json& message) {
  json metadata = json::object();
  const std::string kind = text_at(value_at(message, "content"), "content_type");
  if (!kind.empty() && kind != "text") metadata["content_type"] = kind;
  if (const std::string recipient = text_at(message, "recipient"); !recipient.empty() && recipient != "all")
    metadata["recipient"] = recipient;
  const json& given = value_at(message, "metadata");
  if (const std::string model = text_at(given, "model_slug"); !model.empty()) metadata["model"] = model;
  if (const json& hidden = value_at(given, "is_visually_hidden_from_conversation"); hidden == true)
    metadata["hidden"] = true;
  return metadata;
}

class Tree {
 public:
  Tree(const json& conversation, Conversation& out) : conversation_(conversation), out_(out) {}

  void run() {
    read_nodes();
    for (const char* key : {"conversation_id", "id"})
      if (out_.family.empty()) out_.family = text_at(conversation_, key);
    if (out_.family.empty())
      out_.family = io::to_hex(
          io::sha256(value_at(conversation_, "mapping").dump(-1, ' ', false, json::error_handler_t::replace)));
    std::string last = text_at(conversation_, "current_node");
    const auto leaves = leaves_in_order();
    if (!nodes_.contains(last)) last = latest(leaves);
    if (!last.empty()) store_path(last, out_.family);
    int branch = 0;
    for (const std::string& leaf : leaves)
      if (!nodes_.at(leaf).is_stored) store_path(leaf, fmt::format("{}-branch-{}", out_.family, ++branch));
    // What no leaf is reached from: nodes that have one another for parents.
    for (const auto& [id, node] : nodes_)
      if (!node.is_stored) store_path(id, fmt::format("{}-branch-{}", out_.family, ++branch));
  }

 private:
  void read_nodes() {
    for (const auto& [id, value] : value_at(conversation_, "mapping").items()) {
      if (!value.is_object()) {
        out_.faults.push_back(fmt::format("mapping.{}: not an object", id));
        continue;
      }
      Node& node = nodes_[id];
      node.id = id;
      if (const json& message = value_at(value, "message"); message.is_object()) node.message = &message;
      node.parent = text_at(value, "parent");
      if (node.message != nullptr) node.time = time_of(value_at(*node.message, "create_time"));
    }
    for (auto& [id, node] : nodes_) {
      if (!nodes_.contains(node.parent)) node.parent.clear();
      if (!node.parent.empty()) nodes_.at(node.parent).children.push_back(id);
    }
    for (auto& [id, node] : nodes_)
      std::sort(node.children.begin(), node.children.end(), [this](const std::string& a, const std::string& b) {
        return std::tie(nodes_.at(a).time, a) < std::tie(nodes_.at(b).time, b);
      });
  }

  /// From the roots down, children by time.
  std::vector<std::string> leaves_in_order() const {
    std::vector<std::string> leaves, open;
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node)
      if (node->second.parent.empty()) open.push_back(node->first);
    while (!open.empty()) {
      const Node& node = nodes_.at(open.back());
      open.pop_back();
      if (node.children.empty()) leaves.push_back(node.id);
      open.insert(open.end(), node.children.rbegin(), node.children.rend());
    }
    return leaves;
  }

  std::string latest(const std::vector<std::string>& leaves) const {
    std::string best;
    for (const std::string& leaf : leaves)
      if (best.empty() || nodes_.at(leaf).time > nodes_.at(best).time) best = leaf;
    return best;
  }

  /// The nodes from `last` up that no session has yet, as messages of `session`.
  void store_path(const std::string& last, const std::string& session) {
    std::vector<Node*> path;
    std::string at = last;
    while (!at.empty() && !nodes_.at(at).is_stored) {
      Node& node = nodes_.at(at);
      node.is_stored = true;  // also what ends a circle
      path.push_back(&node);
      at = node.parent;
    }
    std::string before = at.empty() ? time_of_first(path) : nodes_.at(at).time;
    for (auto node = path.rbegin(); node != path.rend(); ++node) {
      // Kept in the order of the path whatever their clocks said.
      (*node)->time = std::max((*node)->time, before);
      before = (*node)->time;
      if ((*node)->message != nullptr) store(**node, session);
    }
  }

  /// Of a path's first node, if it has none itself: that of the conversation, which must not lift those behind it.
  std::string time_of_first(const std::vector<Node*>& path) const {
    std::string begun = time_of(value_at(conversation_, "create_time"));
    for (auto node = path.rbegin(); node != path.rend(); ++node)
      if (!(*node)->time.empty()) return begun.empty() ? (*node)->time : std::min(begun, (*node)->time);
    return begun;
  }

  /// The nearest message above, whatever session it is in.
  std::string parent_of(const Node& node) const {
    std::string at = node.parent;
    for (std::size_t steps = 0; !at.empty() && steps < nodes_.size(); ++steps) {
      const Node& above = nodes_.at(at);
      if (above.message != nullptr && !text_of(above).empty()) return id_of(above);
      at = above.parent;
    }
    return {};
  }

  static std::string text_of(const Node& node) { return text_of_content(value_at(*node.message, "content")); }

  static std::string id_of(const Node& node) {
    const std::string id = node.message == nullptr ? "" : text_at(*node.message, "id");
    return id.empty() ? node.id : id;
  }

  void store(const Node& node, const std::string& session) {
    const json& from = *node.message;
    NewMessage message;
    message.content = text_of(node);
    if (message.content.empty()) return;  // roots, and steps that the service shows nothing of
    message.role = text_at(value_at(from, "author"), "role");
    if (message.role.empty()) {
      out_.faults.push_back(fmt::format("mapping.{}: author.role is missing", node.id));
      return;
    }
    message.session = session;
    message.external_id = id_of(node);
    message.speaker = text_at(value_at(from, "author"), "name");
    message.created = node.time;
    json metadata = metadata_of(from);
    const std::string parent = parent_of(node);
    if (!parent.empty()) metadata["parent"] = parent;
    message.metadata = metadata_text(metadata);
    if (const std::string title = text_at(conversation_, "title"); !title.empty()) message.title = title;
    out_.messages.push_back(std::move(message));
    out_.parents.push_back(parent);
  }

  const json& conversation_;
  Conversation& out_;
  std::map<std::string, Node> nodes_;
};

}  // namespace

Conversation read_chatgpt(std::string_view text) {
  Conversation out;
  std::string fault;
  const json conversation = parse_object(text, fault);
  if (fault.empty() && !value_at(conversation, "mapping").is_object()) fault = "mapping is no object";
  if (fault.empty())
    Tree(conversation, out).run();
  else
    out.faults.push_back(fault);
  return out;
}

}  // namespace reef::session::internal
