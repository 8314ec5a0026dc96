#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "reef/core/progress.h"
#include "reef/embed/embedder.h"
#include "reef/io/sqlite.h"
#include "reef/memory/consolidate.h"
#include "reef/session/turn_passages.h"
#include "reef/session/turn_store.h"
#include "reef/tree/tree.h"

namespace reef::memory {

/// Vectors of messages as a search of the conversation has them, so that nothing is embedded twice; what has none
/// there is embedded here, in the same way. A VectorSource, by std::ref().
class TurnVectors {
 public:
  /// Embeds what is pending first. Where another run indexes this persona for longer than `wait`, or its turns have
  /// vectors of another model, or are damaged, a warning says so. Throws Error{not_found} where there are no
  /// conversations.
  TurnVectors(const tree::Tree& tree, const std::string& persona, embed::Embedder& embedder, unsigned threads,
              std::chrono::milliseconds wait, Progress& progress);

  void operator()(std::span<const MessageText> texts, std::span<float> rows);

 private:
  embed::Embedder& embedder_;
  unsigned threads_;
  io::Database conversations_;
  session::TurnPassages passages_;
  std::optional<session::TurnReader> reader_;
};

}  // namespace reef::memory
