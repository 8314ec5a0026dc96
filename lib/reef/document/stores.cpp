#include "reef/document/stores.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/error.h"
#include "reef/tree/shards.h"

namespace reef::document {

bool holds_store(const tree::Tree& tree, const tree::Scope& scope) {
  // Between two looks a split, or a join, may put another folder in this place.
  return tree::opened_in_place(tree.vectors(scope), [&] {
    if (Snapshot::exists(tree.vectors(scope))) return true;
    if (!tree::is_split(tree, scope)) return false;
    const auto parts = tree::parts_of(tree, scope);
    return std::any_of(parts.begin(), parts.end(), tree::is_in_reach);
  });
}

Stores::Stores(const tree::Tree& tree, tree::Scope scope, std::chrono::milliseconds wait) : scope_(std::move(scope)) {
  tree::require_in_reach(tree, scope_);
  // First, so that what is there stays what it is: a split puts another folder in this place.
  lock_.emplace(tree.vectors(scope_) / ".lock", wait);
  parts_ = tree::parts_of(tree, scope_);
  if (parts_.empty())
    throw Error(Errc::corrupt, fmt::format("{} is empty", io::shown(tree.vectors(scope_) / "parts")),
                "restore the folder from a backup");
  if (!is_split()) {
    stores_.push_back(std::make_unique<Store>(parts_.front().folder, scope_, std::move(*lock_)));
    lock_.reset();
    return;
  }
  tree::require_in_reach(tree, scope_);
  for (const tree::Part& part : parts_) {
    if (!Snapshot::exists(part.folder))
      throw Error(Errc::corrupt, fmt::format("{} is gone", io::shown(part.folder / "metadata.sqlite")),
                  "restore that folder from a backup");
    stores_.push_back(std::make_unique<Store>(part.folder, scope_, wait));
    last_chunk_ = std::max(last_chunk_, stores_.back()->last_chunk());
  }
}

void Stores::require_whole(const std::string& why) const {
  if (!is_split()) return;
  throw Error(Errc::usage, fmt::format("{}, and {} is split over {} shards", why, scope_.name(), size()),
              "take the shards out of storage.shards, run 'reef-index shard apply' and this command again; then list "
              "the shards again and apply once more");
}

const vector::StoreState& Stores::state() const {
  for (const auto& store : stores_)
    if (const auto& state = store->vectors().state(); state.rows_total > 0) return state;
  return stores_.front()->vectors().state();
}

void Stores::use_model(const std::string& name, const std::string& digest, std::size_t dim) {
  for (const auto& store : stores_)
    if (store->vectors().state().rows_total > 0) store->vectors().use_model(name, digest, dim);
  // A part that holds nothing yet takes what the others say of that model, who may know its name alone.
  const vector::StoreState held = state();
  const bool any = held.rows_total > 0;
  for (const auto& store : stores_) {
    if (store->vectors().state().rows_total > 0) continue;
    store->vectors().use_model(any ? held.model : name, any ? held.model_digest : digest, any ? held.dim : dim);
  }
}

void Stores::begin_numbers(std::size_t part) {
  if (is_split()) stores_[part]->number_chunks_after(last_chunk_);
}

void Stores::end_numbers(std::size_t part) {
  if (is_split()) last_chunk_ = std::max(last_chunk_, stores_[part]->last_chunk());
}

std::vector<DocumentRow> Stores::of_source(const std::string& source) {
  std::vector<DocumentRow> rows = stores_.front()->of_source(source);
  for (std::size_t i = 1; i < size(); ++i) {
    auto more = stores_[i]->of_source(source);
    std::move(more.begin(), more.end(), std::back_inserter(rows));
  }
  return rows;
}

bool Stores::is_alone(const DocumentRow& document) {
  if (!of(document.name).is_alone(document)) return false;
  for (std::size_t i = 0; i < size(); ++i)
    if (i != index_of(document.name) && !stores_[i]->of_source(document.source).empty()) return false;
  return true;
}

std::int64_t Stores::count_given(const std::string& source) {
  std::int64_t count = 0;
  for (const auto& store : stores_) count += store->count_given(source);
  return count;
}

void Stores::remove_document(const DocumentRow& document) {
  Store& store = of(document.name);
  io::Transaction transaction(store.database());
  store.remove_document(document.id);
  transaction.commit();
}

void Stores::remove_for_good(const DocumentRow& document) {
  Store& store = of(document.name);
  io::Transaction transaction(store.database());
  store.remove_for_good(document);
  transaction.commit();
}

void Stores::forget_removed(const std::string& source, const std::unordered_set<std::string>* still_held) {
  for (const auto& store : stores_) {
    io::Transaction transaction(store->database());
    store->forget_removed(source, still_held);
    transaction.commit();
  }
}

std::int64_t Stores::remove_unfinished() {
  std::int64_t removed = 0;
  for (const auto& store : stores_) removed += store->remove_unfinished();
  return removed;
}

void Stores::finish_run(bool append_only) {
  for (const auto& store : stores_) store->finish_run(append_only);
}

}  // namespace reef::document
