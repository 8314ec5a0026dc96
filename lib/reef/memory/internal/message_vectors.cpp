#include "reef/memory/internal/message_vectors.h"

#include <algorithm>
#include <utility>

namespace reef::memory::internal {
namespace {

std::span<const float> row_of(const std::vector<float>& rows, std::size_t i, std::size_t dim) {
  return std::span(rows).subspan(i * dim, dim);
}

}  // namespace

std::vector<Ready> MessageVectors::next(std::size_t count) {
  if (!ahead_) read_ahead(count);
  const std::unique_ptr<Ahead> batch = std::move(ahead_);
  if (!batch) return {};
  auto scans = batch->scans.get();
  for (std::size_t i = 0; i < std::min(scans.size(), batch->messages.size()); ++i)
    batch->messages[i].scan = std::move(scans[i]);
  read_ahead(count);
  return std::move(batch->messages);
}

void MessageVectors::read_ahead(std::size_t count) {
  auto batch = std::make_unique<Ahead>();
  std::vector<const session::Message*> messages;
  for (Waiting& waiting : undecided_.next(count)) batch->messages.push_back({std::move(waiting), {}});
  if (batch->messages.empty()) return;
  for (const Ready& ready : batch->messages) messages.push_back(&ready.waiting.message);
  batch->rows = rows_of(messages);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto row = row_of(batch->rows, i, dim_);
    batch->messages[i].row.assign(row.begin(), row.end());
  }
  const bool beside = threads_ > 1;
  batch->scans = std::async(beside ? std::launch::async | std::launch::deferred : std::launch::deferred,
                            [scanner = store_.scanner(), &rows = batch->rows, threads = threads_ - beside] {
                              return scanner.scan(rows, threads);
                            });
  ahead_ = std::move(batch);
}

/// Rows of zeros for what says nothing.
std::vector<float> MessageVectors::rows_of(std::span<const session::Message* const> messages) const {
  std::vector<float> rows(messages.size() * dim_);
  if (dim_ == 0) return rows;
  std::vector<MessageText> texts;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (says_something(*messages[i])) {
      texts.push_back({messages[i]->id, messages[i]->content});
      places.push_back(i);
    }
  std::vector<float> made(texts.size() * dim_);
  if (!texts.empty()) source_(texts, made);
  for (std::size_t i = 0; i < places.size(); ++i)
    std::ranges::copy(row_of(made, i, dim_), rows.begin() + static_cast<std::ptrdiff_t>(places[i] * dim_));
  return rows;
}

bool MessageVectors::lacks(const Settling& message) const {
  const Buffered& entry = message.entry;
  if (dim_ == 0 || !says_something(message.waiting.message)) return false;
  return entry.row.empty() || !entry.scan || !store_.is_recent(*entry.scan);
}

void MessageVectors::prepare(std::span<Settling> messages) {
  std::vector<Buffered*> entries, without;
  std::vector<const session::Message*> texts;
  for (Settling& message : messages) {
    if (!lacks(message)) continue;
    entries.push_back(&message.entry);
    if (!message.entry.row.empty()) continue;
    without.push_back(&message.entry);
    texts.push_back(&message.waiting.message);
  }
  const std::vector<float> made = rows_of(texts);
  for (std::size_t i = 0; i < without.size(); ++i) {
    const auto row = row_of(made, i, dim_);
    without[i]->row.assign(row.begin(), row.end());
  }
  std::vector<float> rows;
  for (const Buffered* entry : entries) rows.insert(rows.end(), entry->row.begin(), entry->row.end());
  auto scans = store_.scanner().scan(rows, threads_);
  for (std::size_t i = 0; i < std::min(scans.size(), entries.size()); ++i) entries[i]->scan = std::move(scans[i]);
}

}  // namespace reef::memory::internal
