#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/embed/default_embedder.h"
#include "reef/retrieve/fuse.h"
#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::retrieve {

struct MessageQuery {
  std::optional<std::string> persona;  ///< absent: the conversations of all
  std::size_t count = 10;
  Mode mode = Mode::hybrid;
};

struct MessageResult {
  std::size_t rank = 0;
  double score = 0;
  double bm25 = 0;
  std::optional<double> cosine;
  std::int64_t id = 0;
  std::string persona;
  std::string session;
  std::string external_id;
  std::string role;
  std::string speaker;
  std::string content;
  std::string created;  ///< RFC 3339
};

struct MessageAnswer {
  std::string id;  ///< of a batch's line; empty for a single question
  std::string question;
  std::vector<MessageResult> results;
  std::uint64_t by_words = 0;  ///< turns without vectors yet, which only their words could find
  bool damaged = false;        ///< the text of a result could not be read out of its archive
  double elapsed_ms = 0;
};

/// Searches the conversations of one tree; opens stores and models once, however many questions come.
class ConversationSearcher {
 public:
  ConversationSearcher(const tree::Tree& tree, const tree::Config& config, embed::EmbedderMaker make_embedder);
  ~ConversationSearcher();

  /// Throws Error{not_found} when there is no conversation to search, Error{usage} when the question is blank.
  MessageAnswer search(const std::string& text, const MessageQuery& options);

 private:
  class Persona;
  Persona& persona(const std::string& id);
  std::vector<Persona*> chosen(const MessageQuery& options);
  bool embed(Persona& persona, const std::string& text);
  embed::Embedder* embedder(const std::string& name, const std::string& digest);

  const tree::Tree& tree_;
  const tree::Config& config_;
  embed::EmbedderMaker make_embedder_;
  std::map<std::string, std::unique_ptr<embed::Embedder>> embedders_;  ///< by the name that stores give; null: absent
  std::map<std::string, std::unique_ptr<Persona>> personas_;
};

std::string to_text(const MessageAnswer& answer);
std::string to_json(const MessageAnswer& answer);

}  // namespace reef::retrieve
