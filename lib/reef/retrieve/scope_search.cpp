#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "reef/core/error.h"
#include "reef/io/mapped_file.h"
#include "reef/retrieve/internal/each_part.h"
#include "reef/retrieve/layer.h"

namespace reef::retrieve {
namespace {

/// On a cold disk each page that SQLite asks for waits for the one before. A small database is asked
/// for as a whole; before SQLite has it open, since closing a file drops all locks that the process
/// holds on it.
const std::filesystem::path& read_ahead(const std::filesystem::path& folder) {
  constexpr std::size_t kSmall = 64 << 20;
  const io::MappedFile database(folder / "metadata.sqlite");
  if (database.size() <= kSmall) database.read_ahead(0, database.size());
  return folder;
}

/// Of a scope that is split, those that can be read.
std::vector<tree::Part> parts_in_reach(const tree::Tree& tree, const tree::Scope& scope) {
  auto parts = tree::parts_of(tree, scope);
  if (parts.size() > 1) std::erase_if(parts, [](const tree::Part& part) { return !tree::is_in_reach(part); });
  return parts;
}

}  // namespace

Question::Question() {
  static std::atomic<std::uint64_t> last{0};
  number = ++last;
}

PartSearch::PartSearch(const std::filesystem::path& folder, const tree::Scope& scope)
    : snapshot_(read_ahead(folder), scope) {}

void PartSearch::ask(const Question& question) {
  postings_ = snapshot_.postings(question.terms);
  allowed_.reset();
  if (!question.filter.empty()) allowed_ = snapshot_.allowed(question.filter);
}

ScopeSearch::ScopeSearch(const tree::Tree& tree, const tree::Scope& scope, std::size_t ef) : scope_(scope), ef_(ef) {
  const auto parts = parts_in_reach(tree, scope);
  parts_.resize(parts.size());
  internal::each_part(parts.size(),
                      [&](std::size_t i) { parts_[i] = std::make_unique<PartSearch>(parts[i].folder, scope_); });
  if (parts_.empty())
    throw Error(Errc::not_found, fmt::format("no part of {} is in reach", scope.name()), "see 'reef-index shard show'");
  for (const auto& part : parts_) {
    const auto& own = part->snapshot().vectors().state();
    if (own.rows_total == 0 || vector::are_of_one_model(own, state())) continue;
    throw Error(Errc::corrupt,
                fmt::format("parts of {} hold vectors of {} and of {}", scope.name(), state().model, own.model),
                "restore the parts from one backup");
  }
  if (!parts.front().shard.empty()) missing_ = tree::missing_stores(tree, scope);
}

std::int64_t ScopeSearch::rows(bool text_only) const {
  std::int64_t rows = 0;
  for (const auto& part : parts_) rows += part->snapshot().map().rows(text_only);
  return rows;
}

double ScopeSearch::mean_words(bool text_only) const {
  std::int64_t words = 0;
  for (const auto& part : parts_) words += part->snapshot().map().words_in_all(text_only);
  const std::int64_t all = rows(text_only);
  return all > 0 ? static_cast<double>(words) / static_cast<double>(all) : 1;
}

const vector::StoreState& ScopeSearch::state() const {
  for (const auto& part : parts_)
    if (const auto& state = part->snapshot().vectors().state(); state.rows_total > 0) return state;
  return parts_.front()->snapshot().vectors().state();
}

bool ScopeSearch::holds_document(const std::string& name) {
  return std::any_of(parts_.begin(), parts_.end(),
                     [&](const auto& part) { return part->snapshot().holds_document(name); });
}

void ScopeSearch::ask(const Question& question) {
  if (asked_ == question.number) return;
  asked_ = question.number;
  vector_.clear();
  internal::each_part(parts_.size(), [&](std::size_t i) { parts_[i]->ask(question); });
}

}  // namespace reef::retrieve
