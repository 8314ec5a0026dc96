#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reef/document/store.h"
#include "reef/tree/parts.h"

namespace reef::retrieve {

/// What a query asks of every layer.
struct Question {
  Question();            ///< takes the next number
  std::uint64_t number;  ///< tells one question from the next
  std::string text;
  std::vector<std::string> terms;  ///< text::query_terms() of its text; empty: no BM25
  document::Snapshot::Filter filter;
};

/// A text of a layer and how well it fits.
struct Candidate {
  std::int64_t id = 0;           ///< within its layer
  double bm25 = 0;               ///< under the layer's own idf, 0 where no term occurs
  std::optional<double> cosine;  ///< absent in a layer without vectors
};

/// What a memory has beside its text.
struct MemoryFacts {
  std::int64_t id = 0;
  double importance = 0;
  std::string speaker;
  std::string source_session;
  std::vector<std::string> external_ids;  ///< of the messages that said it, the first one first
  std::string valid_to;                   ///< RFC 3339; empty: it is valid
  std::int64_t superseded_by = 0;
};

/// What a citation needs of one text.
struct Passage {
  std::string id;  ///< "S12": `reef-index show` takes it
  std::string title;
  std::string heading_path;
  std::string text;
  std::string document;  ///< id of the document, unique within its scope
  std::string source;
  std::string scope;
  std::uint32_t page = 0;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::string created;
  std::optional<MemoryFacts> memory;
};

/// How often the terms of a question occur in a layer: what its idf is made of.
struct TermCounts {
  double rows = 0;
  std::vector<double> rows_with_term;
};

/// One source of knowledge. The seam at which another engine may stand in for the embedded stores:
/// search and fetch by id, nothing else. One question at a time: ask() first, then the rest.
class Layer {
 public:
  virtual ~Layer() = default;

  /// The name that configuration and results use: "persona", "shared", "documents".
  virtual const std::string& name() const = 0;
  /// Layers of one name hold vectors of one model, whose cosines can be compared; "" where there are none.
  virtual std::string vector_space() const { return ""; }
  /// What is embedded of a question for this layer, and the vector of it; of layers that share a scope's, nothing.
  virtual std::string dense_text(const std::string& question) { return question; }
  virtual void use_vector(std::span<const float>) {}
  virtual void ask(const Question& question) = 0;
  virtual TermCounts term_counts() const = 0;
  /// The best `count` rows by BM25 with these idf values, best first.
  virtual std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t count) = 0;
  /// The best `count` rows by cosine, best first; bm25 is not filled.
  virtual std::vector<Candidate> best_by_vector(std::size_t count) = 0;
  /// Fills bm25 (by these idf values) and cosine of rows that the other search found.
  virtual void complete(std::span<Candidate> candidates, std::span<const double> idf) = 0;
  /// Added to the score of a row, in [0, 1] before, for what neither words nor vectors tell.
  virtual double bonus(std::int64_t) const { return 0; }
  /// Until the next ask(), searches give neither these rows nor, with `whole_documents`, any other
  /// row of their documents.
  virtual void leave_out(std::span<const std::int64_t> ids, bool whole_documents) = 0;
  virtual std::optional<Passage> fetch(std::int64_t id) = 0;
};

/// One folder of a scope's store, opened, and what of a question was looked up in it.
class PartSearch {
 public:
  PartSearch(const std::filesystem::path& folder, const tree::Scope& scope);
  document::Snapshot& snapshot() { return snapshot_; }
  const document::Snapshot& snapshot() const { return snapshot_; }
  void ask(const Question& question);
  const std::vector<text::Postings>& postings() const { return postings_; }
  const std::optional<document::Snapshot::Allowed>& allowed() const { return allowed_; }

 private:
  document::Snapshot snapshot_;
  std::vector<text::Postings> postings_;
  std::optional<document::Snapshot::Allowed> allowed_;  ///< absent without a filter
};

/// A scope's store opened for questions; its layers share it. Of one that is split, the parts that are in reach: each
/// has a thread of its own.
class ScopeSearch {
 public:
  /// `ef`: width of the search in the scope's graph; 0: what its file says.
  ScopeSearch(const tree::Tree& tree, const tree::Scope& scope, std::size_t ef = 0);
  const tree::Scope& scope() const { return scope_; }
  std::size_t ef() const { return ef_; }
  const std::vector<std::unique_ptr<PartSearch>>& parts() const { return parts_; }
  /// Parts that are out of reach.
  const std::vector<tree::MissingStore>& missing() const { return missing_; }

  /// Chunks with vectors, or those without.
  std::int64_t rows(bool text_only) const;
  /// Words of such a chunk, over all parts.
  double mean_words(bool text_only) const;
  /// Of a part that holds vectors, else of any.
  const vector::StoreState& state() const;
  bool holds_document(const std::string& name);

  /// Looks the words of the question up, once for all layers of this scope.
  void ask(const Question& question);
  /// The question's vector by the model of this scope, of unit length; after ask(). Empty: no dense search.
  void use_vector(std::vector<float> vector) { vector_ = std::move(vector); }
  const std::vector<float>& vector() const { return vector_; }

 private:
  tree::Scope scope_;
  std::size_t ef_;
  std::vector<std::unique_ptr<PartSearch>> parts_;
  std::vector<tree::MissingStore> missing_;
  std::uint64_t asked_ = 0;  ///< number of the question that was looked up
  std::vector<float> vector_;
};

/// The chunks of a scope that have vectors ("persona", "shared"), or those without ("documents").
std::unique_ptr<Layer> make_document_layer(std::shared_ptr<ScopeSearch> scope, const std::string& name, bool text_only);

}  // namespace reef::retrieve
