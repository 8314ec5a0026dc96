#include "reef/document/internal/extraction.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/core/time.h"
#include "reef/document/internal/sources.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/text/chunk.h"

namespace reef::document::internal {
/// What tells whether a document changed: everything that decides its chunks and vectors.
class Extraction::Digest {
 public:
  Digest(const text::Document& document, const std::vector<std::string>& tags, const std::string& mode) {
    for (const std::string& part : {document.title, document.created, mode, fmt::format("{}", fmt::join(tags, "\n"))}) {
      add(part);
    }
  }
  void add(const text::Document& part) {
    add(part.text);
    // What chunks take from blocks: where they may be cut, and what they cite.
    for (const text::Block& block : part.blocks)
      add(fmt::format("{} {} {} {} {}", block.start, block.end, block.page, block.verbatim, block.heading_path));
  }
  std::string finish() { return io::to_hex(hash_.finish()); }

 private:
  void add(std::string_view text) {
    hash_.update(text);
    hash_.update(std::string_view("\0", 1));
  }

  io::Sha256 hash_;
};

struct Extraction::Current {
  std::shared_ptr<OpenDocument> open;  ///< null: the document is left out
  std::optional<Digest> digest;
  std::string stored_sha256;  ///< of this document as the store has it from this file, or as it was removed
};

Extracted Extraction::run(const Originals& originals, text::ExtractOptions options) {
  ProcessedWriter processed(originals, sha256_, source_.extension);
  options.stream = source_.text_only;
  options.scratch = originals.staging();
  const auto raw = originals.raw_path(sha256_, source_.extension);
  std::uint64_t undated = 0;
  std::string undated_example;
  std::exception_ptr store_error;  // one of ours, that passes through the extractor
  try {
    auto faults = text::extract(raw, options, [&](text::Document&& document) {
      try {
        check_interrupt();
        if (!document.unread_date.empty() && ++undated == 1) undated_example = document.unread_date;
        processed.add(name_of(document), document);
        take(document);
      } catch (...) {
        store_error = std::current_exception();
        throw;
      }
    });
    result_.unread = std::any_of(faults.begin(), faults.end(), [](const text::Fault& fault) { return fault.unread; });
    result_.faults.insert(result_.faults.end(), faults.begin(), faults.end());
  } catch (const Error& error) {
    if (store_error || error.code() == Errc::interrupted) throw;
    // The extractor read our copy; the operator knows the file under its own name.
    throw InputError({error.code(), replaced(error.what(), raw.string(), io::shown(source_.path)), error.hint()});
  }
  processed.commit();
  if (undated > 0)
    log_warn(
        "{}: {} with a date that is not RFC 3339, as '{}', taken in without one; to --since and --until {} from today",
        io::shown(source_.path), undated == 1 ? "one document" : fmt::format("{} documents", undated),
        ellipsis(printable(undated_example), 40), undated == 1 ? "it is" : "they are");
  return std::move(result_);
}

std::string Extraction::name_of(const text::Document& document) const {
  if (document.id.empty()) return source_.path;
  return document.id_is_place ? source_.path + "#" + document.id : document.id;
}

void Extraction::take(text::Document& document) {
  const bool first_part = !current_;
  if (first_part) {
    current_ = std::make_shared<Current>();
    if (!begin(document)) current_->open.reset();
  }
  const auto current = document.last_part ? std::exchange(current_, nullptr) : current_;
  if (!current->open) return progress_.advance(document.text.size());
  DocumentRow& row = current->open->row;
  current->digest->add(document);
  if (document.last_part) row.sha256 = current->digest->finish();
  if (first_part && document.last_part && row.sha256 == current->stored_sha256)
    return progress_.advance(document.text.size());
  batch_.add(current->open, chunks_of(document), document.last_part, document.text.size());
}

bool Extraction::begin(const text::Document& document) {
  current_->open = std::make_shared<OpenDocument>();
  DocumentRow& row = current_->open->row;
  row.name = name_of(document);
  row.source = source_.path;
  row.title = document.title;
  row.format = source_.format;
  row.created = document.created;
  row.added = to_rfc3339(now());
  row.tags = source_.tags;
  row.tags.insert(row.tags.end(), document.tags.begin(), document.tags.end());
  if (result_.names.contains(row.name)) {
    result_.faults.push_back(
        {document.line, fmt::format("id '{}' comes a second time; the first is kept", row.name), false});
    return false;
  }
  const auto old = store_.find(row.name);
  const auto owner = batch_.source_of(row.name).value_or(old ? old->source : source_.path);
  if (owner != source_.path) {
    if (is_alive(registry_, store_.scope(), owner)) {
      result_.faults.push_back(
          {document.line, fmt::format("id '{}' already comes from {}; that one is kept", row.name, io::shown(owner)),
           false});
      result_.contested = true;
      return false;
    }
    result_.former_owners.insert(owner);
  }
  result_.names.insert(row.name);
  current_->open->with_vectors = embedder_ != nullptr;
  current_->open->replaces = old.has_value();
  if (old && old->source == source_.path) current_->stored_sha256 = old->sha256;
  if (!old) current_->stored_sha256 = store_.removed_sha256(source_.path, row.name);
  current_->digest.emplace(document, row.tags, embedder_ ? embedder_->identity().digest : "text");
  return true;
}

std::vector<text::Chunk> Extraction::chunks_of(const text::Document& document) const {
  text::ChunkOptions limits;
  if (embedder_) limits.max_tokens = embedder_->passage_tokens();
  limits.overlap_tokens = limits.max_tokens / 8;
  if (!embedder_) return text::chunk(document, text::estimated_tokens, limits);
  return text::chunk(
      document, [this](std::string_view text) { return embedder_->count_tokens(text); }, limits);
}

}  // namespace reef::document::internal
