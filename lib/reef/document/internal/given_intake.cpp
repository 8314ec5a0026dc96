#include "reef/document/internal/given_intake.h"

#include <fmt/format.h>

#include <cstring>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/document/internal/sources.h"
#include "reef/io/file.h"

namespace reef::document::internal {
namespace {

/// What is in memory at once; an append costs four fsyncs whatever it holds.
constexpr std::uint64_t kBatchRows = 4096;
constexpr std::uint64_t kBatchBytes = 16 << 20;

}  // namespace

Given::Given(const GivenOptions& options) : vectors(options.vectors), texts(options.metadata) {
  const std::uint64_t lines = texts.count();
  if (lines == vectors.rows()) return;
  throw Error(Errc::failed,
              fmt::format("{} holds {} vectors, {} describes {}", io::shown(vectors.path()), vectors.rows(),
                          io::shown(texts.path()), lines),
              "line i describes row i: give both files as many; nothing was changed");
}

void Given::next_batch() {
  rows.clear();
  std::uint64_t bytes = 0;
  while (rows.size() < kBatchRows && bytes < kBatchBytes) {
    rows.emplace_back();
    if (!texts.next(rows.back())) {
      rows.pop_back();
      break;
    }
    bytes += rows.back().text.size() + vectors.dim() * sizeof(float);
  }
  if (first + rows.size() > vectors.rows() || (rows.empty() && first < vectors.rows()))
    throw Error(Errc::failed, fmt::format("{} changed while it was read", io::shown(texts.path())),
                "run the command again; nothing was changed");
  values.resize(rows.size() * vectors.dim());
  vectors.read(first, rows.size(), values);
  first += rows.size();
}

GivenDocuments::GivenDocuments(Store& store)
    : store_(store),
      find_(store.database().prepare(
          "SELECT d.id, d.sha256, d.source, c.vector_row FROM documents d LEFT JOIN chunks c ON c.document = d.id "
          "WHERE d.name = ? AND d.finished LIMIT 1")) {}

std::optional<Held> GivenDocuments::find(const std::string& name) {
  std::optional<Held> held;
  if (find_.bind(1, name).step()) {
    held = {find_.integer(0), std::string(find_.text(1)), std::string(find_.text(2)), std::nullopt};
    if (!find_.is_null(3)) held->vector_row = static_cast<std::uint64_t>(find_.integer(3));
  }
  find_.reset();
  return held;
}

bool GivenDocuments::is_same(const Held& held, const GivenRow& row, std::span<const float> vector) {
  if (!held.vector_row || held.sha256 != row.digest()) return false;
  const auto& state = store_.vectors().state();
  if (!vectors_) vectors_.emplace(store_.folder() / state.vectors_file, state.rows_total);
  const auto present = vectors_->row(*held.vector_row);
  return std::memcmp(present.data(), vector.data(), vector.size_bytes()) == 0;
}

bool GivenIntake::Part::was_seen(std::int64_t document) const {
  return static_cast<std::size_t>(document) < seen.size() && seen[static_cast<std::size_t>(document)];
}

void GivenIntake::Part::mark_seen(std::int64_t document) {
  const auto index = static_cast<std::size_t>(document);
  if (index >= seen.size()) seen.resize(index + index / 2 + 1);
  seen[index] = true;
}

GivenIntake::GivenIntake(Stores& stores, Given& given, GivenReport& report, Progress& progress)
    : stores_(stores),
      given_(given),
      report_(report),
      progress_(progress),
      parts_(stores.size()),
      source_(given_source(given.texts.path())),
      now_(to_rfc3339(now())) {
  for (std::size_t i = 0; i < stores.size(); ++i) parts_[i].documents.emplace(stores[i]);
}

void GivenIntake::run() {
  progress_.begin("adding vectors", given_.vectors.rows(), ProgressUnit::items);
  for (given_.next_batch(); !given_.rows.empty(); given_.next_batch()) {
    check_interrupt();
    choose();
    write();
    progress_.advance(given_.rows.size());
  }
  for (std::size_t i = 0; i < stores_.size(); ++i)
    if (parts_[i].changed) stores_[i].vectors().commit();
  report_.stretched = given_.vectors.stretched();
  progress_.end();
}

/// Those of the batch that are new or changed.
void GivenIntake::choose() {
  names_.clear();
  for (std::size_t i = 0; i < given_.rows.size(); ++i) {
    GivenRow& row = given_.rows[i];
    Part& part = parts_[stores_.index_of(row.id)];
    const auto held = part.documents->find(row.id);
    if ((held && part.was_seen(held->document)) || !names_.insert(row.id).second)
      refuse(row, fmt::format("id '{}' comes a second time", row.id), "an id names one document");
    if (held && !is_given(held->source))
      refuse(row, fmt::format("id '{}' is a document of {}", row.id, io::shown(held->source)),
             "remove that one first ('reef-index remove'), or give the row another id");
    if (!row.unread_date.empty()) ++report_.undated;
    if (held && part.documents->is_same(*held, row, given_.vector(i))) {
      ++report_.unchanged;
      part.mark_seen(held->document);
      continue;
    }
    ++(held ? report_.replaced : report_.added);
    const auto vector = given_.vector(i);
    part.values.insert(part.values.end(), vector.begin(), vector.end());
    part.chosen.push_back(document_of(row, held));
  }
}

WholeDocument GivenIntake::document_of(GivenRow& row, const std::optional<Held>& held) const {
  WholeDocument document;
  document.row.name = row.id;
  document.row.source = source_;
  document.row.sha256 = row.digest();
  document.row.title = std::move(row.title);
  document.row.format = "vectors";
  document.row.created = std::move(row.created);
  document.row.added = now_;
  document.row.tags = std::move(row.tags);
  document.chunk.chunk.end = row.text.size();
  document.chunk.chunk.text = std::move(row.text);
  if (held) document.replaces = held->document;
  return document;
}

void GivenIntake::write() {
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    Part& part = parts_[i];
    if (part.chosen.empty()) continue;
    std::uint64_t row = stores_[i].vectors().append(part.values);
    for (WholeDocument& document : part.chosen) document.chunk.vector_row = row++;
    stores_.begin_numbers(i);
    for (const std::int64_t id : stores_[i].add_whole(part.chosen)) part.mark_seen(id);
    stores_.end_numbers(i);
    part.changed = true;
    part.chosen.clear();
    part.values.clear();
  }
}

void GivenIntake::refuse(const GivenRow& row, const std::string& why, const std::string& hint) const {
  throw Error(Errc::failed, fmt::format("{}:{}: {}", io::shown(given_.texts.path()), row.line, why),
              hint + "; nothing was changed");
}

}  // namespace reef::document::internal
