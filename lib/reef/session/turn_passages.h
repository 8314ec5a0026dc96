#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reef/embed/embedder.h"
#include "reef/io/sqlite.h"
#include "reef/session/archives.h"

namespace reef::session {

/// What index_turns() embeds for messages, for who embeds some of them without its store.
class TurnPassages {
 public:
  explicit TurnPassages(io::Database& conversations);

  /// The passage of a message that says `content`; `content` alone where the message is gone or says something else by
  /// now, and where the archive of the one before it is not mounted.
  std::string of(std::int64_t message, std::string_view content, const embed::Embedder& embedder);

 private:
  io::Database* conversations_;
  Archives archives_;
  io::Statement place_, previous_;
};

}  // namespace reef::session
