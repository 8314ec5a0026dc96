#include "reef/document/internal/batch.h"

#include "reef/document/internal/cached_embedding.h"

namespace reef::document::internal {
namespace {

/// Enough for both threads to be busy and the fsyncs of a flush to vanish; about five seconds of
/// work on two cores, which is what a kill can cost.
constexpr std::size_t kBatchChunks = 512;
constexpr std::uint64_t kBatchBytes = 16 << 20;

/// Shows embedded texts as bytes of the files that they come from.
class ByteProgress : public Progress {
 public:
  ByteProgress(Progress& shown, std::uint64_t bytes, std::size_t texts)
      : shown_(shown), bytes_(bytes), texts_(std::max<std::size_t>(texts, 1)) {}
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t count) override {
    done_ += count;
    const std::uint64_t now = bytes_ * std::min<std::uint64_t>(done_, texts_) / texts_;
    shown_.advance(now - told_);
    told_ = now;
  }
  void end() override { advance(texts_); }

 private:
  Progress& shown_;
  std::uint64_t bytes_;
  std::uint64_t texts_;
  std::uint64_t done_ = 0;
  std::uint64_t told_ = 0;
};

}  // namespace

void Batch::use(embed::Embedder& embedder, EmbeddingCache& cache, unsigned threads) {
  embedder_ = &embedder;
  cache_ = &cache;
  threads_ = threads;
}

void Batch::add(std::shared_ptr<OpenDocument> document, std::vector<text::Chunk> chunks, bool last_part,
                std::uint64_t text_bytes) {
  chunks_ += chunks.size();
  if (document->with_vectors) embedded_chunks_ += chunks.size();
  text_bytes_ += text_bytes;
  sources_.insert_or_assign(document->row.name, document->row.source);
  pieces_.push_back({std::move(document), std::move(chunks), last_part});
  flush_if_full();
}

std::optional<std::string> Batch::source_of(const std::string& name) const {
  const auto found = sources_.find(name);
  return found == sources_.end() ? std::nullopt : std::optional(found->second);
}

void Batch::flush_if_full() {
  if (embedded_chunks_ >= kBatchChunks || chunks_ >= 8 * kBatchChunks || text_bytes_ >= kBatchBytes ||
      after_.size() >= kBatchChunks)
    flush();
}

std::vector<float> Batch::embed() {
  std::vector<std::string> passages;
  for (const Piece& piece : pieces_) {
    if (!piece.document->with_vectors) continue;
    for (const text::Chunk& chunk : piece.chunks)
      passages.push_back(text::passage_text(piece.document->row.title, chunk.heading_path, chunk.text));
  }
  ByteProgress progress(progress_, text_bytes_, passages.size());
  Embedded embedded = embed_passages(*embedder_, *cache_, passages, threads_, progress);
  progress.end();
  report_.embed_seconds += embedded.seconds;
  report_.embedded += embedded.computed;
  return std::move(embedded.vectors);
}

void Batch::write(std::size_t part, const std::vector<const Piece*>& pieces, std::span<const float> rows) {
  Store& store = store_[part];
  std::uint64_t row = rows.empty() ? 0 : store.vectors().append(rows);
  io::Transaction transaction(store.database());
  store_.begin_numbers(part);
  std::uint64_t added = 0, replaced = 0, written = 0;
  for (const Piece* piece : pieces) {
    OpenDocument& document = *piece->document;
    if (document.id == 0) document.id = store.begin_document(document.row);
    std::vector<NewChunk> chunks;
    for (const text::Chunk& chunk : piece->chunks)
      chunks.push_back({chunk, document.with_vectors ? std::optional(row++) : std::nullopt});
    store.add_chunks(document.id, document.row.title, chunks);
    written += chunks.size();
    if (!piece->last_part) continue;
    store.finish_document(document.id, document.row);
    ++(document.replaces ? replaced : added);
  }
  if (!rows.empty()) store.vectors().commit();
  store_.end_numbers(part);
  transaction.commit();
  report_.chunks += written;
  report_.added += added;
  report_.replaced += replaced;
}

void Batch::write_all(std::span<const float> vectors) {
  std::vector<std::vector<const Piece*>> pieces(store_.size());
  std::vector<std::vector<float>> rows(store_.size());
  const std::size_t dim = embedder_ ? embedder_->identity().dim : 0;
  const bool several = store_.size() > 1;
  std::size_t at = 0;
  for (const Piece& piece : pieces_) {
    const std::size_t part = store_.index_of(piece.document->row.name);
    pieces[part].push_back(&piece);
    if (!several || !piece.document->with_vectors) continue;
    const auto own = vectors.subspan(at, piece.chunks.size() * dim);
    rows[part].insert(rows[part].end(), own.begin(), own.end());
    at += own.size();
  }
  for (std::size_t part = 0; part < store_.size(); ++part)
    if (!pieces[part].empty()) write(part, pieces[part], several ? rows[part] : vectors);
}

void Batch::flush() {
  if (!pieces_.empty()) {
    std::vector<float> vectors;
    if (embedded_chunks_ > 0)
      vectors = embed();
    else
      progress_.advance(text_bytes_);
    write_all(vectors);
    pieces_.clear();
    sources_.clear();
    chunks_ = embedded_chunks_ = 0;
    text_bytes_ = 0;
  }
  if (after_.empty()) return;
  before_actions_();
  for (const auto& action : std::exchange(after_, {})) action();
}

}  // namespace reef::document::internal
