#include "reef/memory/turn_vectors.h"

#include <algorithm>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/session/index.h"
#include "reef/session/schema.h"

namespace reef::memory {

TurnVectors::TurnVectors(const tree::Tree& tree, const std::string& persona, embed::Embedder& embedder,
                         unsigned threads, std::chrono::milliseconds wait, Progress& progress)
    : embedder_(embedder),
      threads_(threads),
      conversations_(session::read_conversations(tree)),
      passages_(conversations_) {
  session::IndexOptions options;
  options.persona = persona;
  options.threads = threads;
  options.wait = wait;
  try {
    session::index_turns(tree, options, embedder, progress);
    reader_.emplace(tree, persona);
  } catch (const Error& error) {
    // Another run indexes this persona, its turns have vectors of another model still, or what is there is damaged.
    if (error.code() != Errc::locked && error.code() != Errc::usage && error.code() != Errc::corrupt) throw;
    log_warn("messages of {} are embedded once more: {}", persona, with_hint(error));
  }
}

void TurnVectors::operator()(std::span<const MessageText> texts, std::span<float> rows) {
  const std::size_t dim = embedder_.identity().dim;
  std::vector<std::string> passages;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (const auto position = reader_ ? reader_->map().position_of(texts[i].message) : std::nullopt) {
      const auto row = reader_->vectors().row(*position);
      std::copy(row.begin(), row.end(), rows.begin() + static_cast<std::ptrdiff_t>(i * dim));
    } else {
      passages.push_back(passages_.of(texts[i].message, texts[i].content, embedder_));
      places.push_back(i);
    }
  }
  if (passages.empty()) return;
  const std::vector<std::string_view> views(passages.begin(), passages.end());
  std::vector<float> made(views.size() * dim);
  embedder_.embed_passages(views, made, threads_, no_progress());
  for (std::size_t i = 0; i < places.size(); ++i)
    std::copy_n(made.begin() + static_cast<std::ptrdiff_t>(i * dim), dim,
                rows.begin() + static_cast<std::ptrdiff_t>(places[i] * dim));
}

}  // namespace reef::memory
