#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "reef/document/store.h"
#include "reef/tree/parts.h"
#include "reef/tree/tree.h"

namespace reef::document {

/// Whether a scope holds anything that could be read: its store, or a part of it that is in reach.
bool holds_store(const tree::Tree& tree, const tree::Scope& scope);

/// The writing side of a scope: its store, or all parts that it was split into, held by one lock. A document lies whole
/// in the part that its name leads to, so that a transaction of that part adds or removes it. Ids of chunks are one
/// sequence over all parts.
class Stores {
 public:
  /// Throws what Store's does, and Error{not_found} when a part is out of reach: ids could be given twice, and a
  /// document that it holds taken in again.
  Stores(const tree::Tree& tree, tree::Scope scope, std::chrono::milliseconds wait);

  const tree::Scope& scope() const { return scope_; }
  bool is_split() const { return !parts_.front().shard.empty(); }
  const std::vector<tree::Part>& parts() const { return parts_; }
  /// Throws Error{usage} for a scope that is split: `why` says what cannot be done part by part.
  void require_whole(const std::string& why) const;
  std::size_t size() const { return stores_.size(); }
  Store& operator[](std::size_t part) { return *stores_[part]; }
  /// The part that this document is in, or belongs into.
  std::size_t index_of(const std::string& document) const { return tree::part_of_document(parts_, document); }
  Store& of(const std::string& document) { return *stores_[index_of(document)]; }

  /// Of a part that has vectors, else of the first.
  const vector::StoreState& state() const;
  void use_model(const std::string& name, const std::string& digest, std::size_t dim);
  /// Before chunks are added to a part, in that transaction, and after it: keeps ids unique.
  void begin_numbers(std::size_t part);
  void end_numbers(std::size_t part);

  // As in Store, over all parts. What changes something is one transaction for each part.
  std::optional<DocumentRow> find(const std::string& name) { return of(name).find(name); }
  std::vector<DocumentRow> of_source(const std::string& source);
  bool is_alone(const DocumentRow& document);
  std::int64_t count_given(const std::string& source);
  std::string removed_sha256(const std::string& source, const std::string& name) {
    return of(name).removed_sha256(source, name);
  }
  void remove_document(const DocumentRow& document);
  void remove_for_good(const DocumentRow& document);
  void forget_removed(const std::string& source, const std::unordered_set<std::string>* still_held = nullptr);
  std::int64_t remove_unfinished();
  void finish_run(bool append_only = false);

 private:
  tree::Scope scope_;
  std::optional<io::LockFile> lock_;  ///< of parts; a store that is whole holds it itself
  std::vector<tree::Part> parts_;
  std::vector<std::unique_ptr<Store>> stores_;
  std::int64_t last_chunk_ = 0;
};

}  // namespace reef::document
