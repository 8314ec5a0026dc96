#include "reef/document/internal/document_copy.h"

#include <fmt/format.h>

#include <algorithm>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/document/internal/rows.h"
#include "reef/io/checksum.h"

namespace reef::document::internal {
namespace {

constexpr std::size_t kBatchChunks = 2048;
constexpr std::size_t kBatchBytes = 16 << 20;

/// A digest of fields that cannot run into each other.
class FieldHash {
 public:
  FieldHash& add(std::string_view field) {
    hash_.update(fmt::format("{}:", field.size()));
    hash_.update(field);
    return *this;
  }
  FieldHash& add(std::int64_t value) { return add(fmt::format("{}", value)); }
  std::uint64_t finish() {
    const auto digest = hash_.finish();
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) value = value << 8 | digest[i];
    return value;
  }

 private:
  io::Sha256 hash_;
};

std::vector<std::string> tags_of(io::Statement& statement, std::int64_t document) {
  std::vector<std::string> tags;
  for (statement.bind(1, document); statement.step();) tags.emplace_back(statement.text(0));
  statement.reset();
  return tags;
}

std::string documents_query() {
  return fmt::format("SELECT {} FROM documents WHERE finished ORDER BY id", kDocumentColumns);
}
constexpr const char* kTags = "SELECT tag FROM document_tags WHERE document = ? ORDER BY tag";
constexpr const char* kRemoved = "SELECT name, source, sha256 FROM removed_documents";
constexpr const char* kChunks =
    "SELECT c.id, c.document, d.name, d.title, c.text, c.heading_path, c.page, c.start_byte, c.end_byte, c.vector_row "
    "FROM chunks c JOIN documents d ON d.id = c.document WHERE d.finished ORDER BY c.id";

/// One store that is written: chunks are collected, and go into one transaction with their vectors.
class Target {
 public:
  explicit Target(Store& store) : store_(store) {}

  Store& store() { return store_; }

  void add(CopiedChunk chunk, std::span<const float> vector) {
    bytes_ += chunk.added.chunk.text.size() + vector.size_bytes();
    rows_.insert(rows_.end(), vector.begin(), vector.end());
    chunks_.push_back(std::move(chunk));
    if (chunks_.size() >= kBatchChunks || bytes_ >= kBatchBytes) flush();
  }

  void flush() {
    if (chunks_.empty()) return;
    check_interrupt();
    std::uint64_t row = rows_.empty() ? 0 : store_.vectors().append(rows_);
    io::Transaction transaction(store_.database());
    for (CopiedChunk& chunk : chunks_)
      if (chunk.added.vector_row) chunk.added.vector_row = row++;
    store_.copy_chunks(chunks_);
    if (!rows_.empty()) store_.vectors().commit();
    transaction.commit();
    chunks_.clear();
    rows_.clear();
    bytes_ = 0;
  }

 private:
  Store& store_;
  std::vector<CopiedChunk> chunks_;
  std::vector<float> rows_;
  std::size_t bytes_ = 0;
};

/// Where a document of one source was put.
struct Put {
  std::size_t part = 0;
  std::int64_t document = 0;
};

/// Documents, tags and what is remembered of removed ones. Returns by id of the old document where it is now.
std::vector<Put> put_documents(Snapshot& from, std::vector<Target>& targets, const std::vector<tree::Part>& parts) {
  std::vector<Put> put;
  auto documents = from.database().prepare(documents_query()), tags = from.database().prepare(kTags);
  while (documents.step()) {
    DocumentRow document = read_document(documents);
    document.tags = tags_of(tags, document.id);
    const std::size_t part = tree::part_of_document(parts, document.name);
    put.resize(static_cast<std::size_t>(document.id) + 1);
    put.back() = {part, targets[part].store().copy_document(document)};
  }
  auto removed = from.database().prepare(kRemoved);
  while (removed.step()) {
    const std::string name(removed.text(0));
    targets[tree::part_of_document(parts, name)].store().remember_removed(name, std::string(removed.text(1)),
                                                                          std::string(removed.text(2)));
  }
  return put;
}

void use_model_of(const std::vector<std::unique_ptr<Snapshot>>& from, const std::vector<std::unique_ptr<Store>>& to) {
  const vector::StoreState* model = nullptr;
  for (const auto& snapshot : from) {
    const auto& state = snapshot->vectors().state();
    if (state.rows_total == 0) continue;
    if (model && !vector::are_of_one_model(*model, state))
      throw Error(
          Errc::corrupt,
          fmt::format("parts of {} hold vectors of {} and of {}", snapshot->scope().name(), model->model, state.model),
          "restore them from one backup, or remove the documents and ingest them again");
    if (!model || model->model_digest.empty()) model = &state;
  }
  if (!model) return;
  for (const auto& store : to) store->vectors().use_model(model->model, model->model_digest, model->dim);
}

}  // namespace

void add_to_sum(StoreSum& sum, Snapshot& snapshot, Progress& progress) {
  io::Database& database = snapshot.database();
  auto documents = database.prepare(documents_query()), tags = database.prepare(kTags);
  while (documents.step()) {
    FieldHash hash;
    for (int column = 1; column < 8; ++column) hash.add(documents.text(column));
    for (const std::string& tag : tags_of(tags, documents.integer(0))) hash.add(tag);
    sum.content += hash.finish();
    ++sum.documents;
  }
  auto removed = database.prepare(kRemoved);
  while (removed.step()) {
    sum.content += FieldHash().add(removed.text(0)).add(removed.text(1)).add(removed.text(2)).finish();
    ++sum.removed;
  }
  auto chunks = database.prepare(kChunks);
  while (chunks.step()) {
    check_interrupt();
    FieldHash hash;
    hash.add(chunks.integer(0)).add(chunks.text(2)).add(chunks.text(4)).add(chunks.text(5));
    for (int column = 6; column < 9; ++column) hash.add(chunks.integer(column));
    if (!chunks.is_null(9)) {
      const auto vector = snapshot.vectors().row(static_cast<std::uint64_t>(chunks.integer(9)));
      hash.add(std::string_view(reinterpret_cast<const char*>(vector.data()), vector.size_bytes()));
      ++sum.vectors;
    }
    sum.content += hash.finish();
    ++sum.chunks;
    progress.advance(1);
  }
}

void copy_documents(const std::vector<std::unique_ptr<Snapshot>>& from, const std::vector<std::unique_ptr<Store>>& to,
                    const std::vector<tree::Part>& parts, Progress& progress) {
  use_model_of(from, to);
  std::vector<Target> targets;
  targets.reserve(to.size());
  for (const auto& store : to) targets.emplace_back(*store);
  std::vector<std::vector<Put>> put;
  {
    std::vector<std::unique_ptr<io::Transaction>> transactions;
    transactions.reserve(to.size());
    for (const auto& store : to) transactions.push_back(std::make_unique<io::Transaction>(store->database()));
    for (const auto& snapshot : from) put.push_back(put_documents(*snapshot, targets, parts));
    for (const auto& transaction : transactions) transaction->commit();
  }
  // A store wants ids and rows to grow together: of all sources the lowest id first.
  struct Stream {
    io::Statement chunks;
    bool more = false;
  };
  std::vector<Stream> streams;
  for (const auto& snapshot : from) {
    streams.push_back({snapshot->database().prepare(kChunks), false});
    streams.back().more = streams.back().chunks.step();
  }
  for (;;) {
    std::size_t next = streams.size();
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (streams[i].more && (next == streams.size() || streams[i].chunks.integer(0) < streams[next].chunks.integer(0)))
        next = i;
    if (next == streams.size()) break;
    io::Statement& row = streams[next].chunks;
    const Put& where = put[next].at(static_cast<std::size_t>(row.integer(1)));
    CopiedChunk copied{row.integer(0), where.document, std::string(row.text(3)), {}};
    text::Chunk& chunk = copied.added.chunk;
    chunk.text = row.text(4);
    chunk.heading_path = row.text(5);
    chunk.page = static_cast<std::uint32_t>(row.integer(6));
    chunk.start = static_cast<std::uint64_t>(row.integer(7));
    chunk.end = static_cast<std::uint64_t>(row.integer(8));
    std::span<const float> vector;
    if (!row.is_null(9)) {
      copied.added.vector_row = static_cast<std::uint64_t>(row.integer(9));
      vector = from[next]->vectors().row(*copied.added.vector_row);
    }
    targets[where.part].add(std::move(copied), vector);
    progress.advance(1);
    streams[next].more = row.step();
  }
  for (Target& target : targets) target.flush();
}

}  // namespace reef::document::internal
