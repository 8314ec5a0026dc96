#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reef/embed/default_embedder.h"
#include "reef/retrieve/fuse.h"
#include "reef/retrieve/layer.h"
#include "reef/retrieve/memory_layer.h"
#include "reef/tree/config.h"
#include "reef/tree/parts.h"
#include "reef/tree/tree.h"

namespace reef::retrieve {

struct QueryOptions {
  std::optional<std::string> persona;
  std::vector<std::string> layers;  ///< empty: retrieve.layers
  std::size_t count = 10;
  Mode mode = Mode::hybrid;
  bool chunks = false;         ///< several results of one document
  bool words_suffice = false;  ///< hybrid search goes by words alone where no model embeds the question
  document::Snapshot::Filter filter;
};

struct Result {
  std::size_t rank = 0;
  std::string layer;
  double score = 0;
  double bm25 = 0;  ///< 1 for the best of the answer
  std::optional<double> cosine;
  Passage passage;
};

struct Answer {
  std::string id;  ///< of a batch's line; empty for a single question
  std::string question;
  std::vector<Result> results;
  std::vector<tree::MissingStore> missing;  ///< that would have been searched, on shards that are not mounted
  double elapsed_ms = 0;
};

/// Whether a text asks nothing: only white space and control characters.
bool is_blank(std::string_view question);

/// Answers questions from one tree; opens stores and models once, however many questions come.
class Searcher {
 public:
  /// `make_embedder` is called at the first question that needs a vector by that model, while
  /// another thread looks the words up.
  Searcher(const tree::Tree& tree, const tree::Config& config, embed::EmbedderMaker make_embedder);
  ~Searcher();

  /// The question is embedded for each scope by the model of that scope's vectors. Where one is not
  /// installed, hybrid search goes by words in that scope and says so once; where none is, or in dense
  /// search, that is an error (but for QueryOptions::words_suffice).
  /// Throws Error{not_found} when nothing was ingested that the query could search or no model is
  /// there, Error{usage} when the question is blank or a model has changed since.
  Answer query(const std::string& text, const QueryOptions& options);
  /// The same with a vector made elsewhere: dense search alone.
  Answer query_vector(const std::vector<float>& vector, const QueryOptions& options);
  /// Tokens of a text as the embedder counts them, or an estimate without one.
  std::size_t count_tokens(std::string_view text);

 private:
  struct Layers;
  ScopeSearch& scope(const tree::Scope& scope);
  Layers layers_of(const QueryOptions& options);
  Answer answer(const Question& question, Layers& layers, const QueryOptions& options);
  /// Vectors by digest of the model and text, each computed once.
  using Vectors = std::map<std::string, std::vector<float>>;
  embed::Embedder& embedder(const std::string& name, const std::string& digest);
  void embed_ahead(const std::string& text, const QueryOptions& options, Vectors& vectors);
  void embed_for(Layers& layers, const std::string& text, const QueryOptions& options, Vectors& vectors);
  static void require_vectors(const Layers& layers);
  std::shared_ptr<MemoryStore> memories(const std::string& persona);
  struct Embeddable;
  embed::Embedder& matching_embedder(const Embeddable& store);
  static const std::vector<float>& vector_of(const std::string& text, embed::Embedder& model, Vectors& vectors);
  std::vector<Embeddable> embeddable(Layers& layers, const std::string& text);

  const tree::Tree& tree_;
  const tree::Config& config_;
  embed::EmbedderMaker make_embedder_;
  std::map<std::string, std::unique_ptr<embed::Embedder>> embedders_;  ///< by the name that stores give
  std::set<std::string> told_;                                         ///< scopes whose model is missing
  std::map<std::string, std::shared_ptr<ScopeSearch>> scopes_;
  std::map<std::string, std::shared_ptr<MemoryStore>> memories_;  ///< by persona; null: it has none
};

/// One passage by its id, with what stands around it in the extracted text. Error{not_found}.
Passage show(const tree::Tree& tree, const std::string& id);

/// Text for a language model: passages under their citations, best first, in at most `budget`
/// tokens as `count` counts them. A passage that does not fit whole is left out, but the first is cut;
/// Error{usage} says the least budget when not even its citation fits. Of control characters only
/// line ends and tabs come out as they are: the text goes to terminals, too.
std::string format_context(const Answer& answer, std::size_t budget,
                           const std::function<std::size_t(std::string_view)>& count);

/// An answer of memories alone, for who asks for nothing else.
struct MemoryAnswer {
  Answer answer;
};
std::string to_text(const MemoryAnswer& answer);
std::string to_json(const MemoryAnswer& answer);
/// Ids of the memories among its results.
std::vector<std::int64_t> memories_in(const Answer& answer);

std::string to_text(const Answer& answer);
std::string to_json(const Answer& answer);
std::string to_text(const Passage& passage);
std::string to_json(const Passage& passage);

}  // namespace reef::retrieve
