#pragma once

#include <string>
#include <vector>

#include "reef/memory/forget.h"

namespace reef::memory::internal {

/// A message that is not to be learned from again.
struct ForgottenMessage {
  std::int64_t id = 0;
  std::string session = {};
  std::string content_hash = {};  ///< empty: it is gone
  std::string said_hash = {};     ///< of its speaker and its text
  std::int64_t origin = 0;        ///< 0: it is gone
  std::uint64_t mark = 0;
};

/// A source that leaves a memory which has others.
struct CutSource {
  std::int64_t memory = 0, message = 0;
};

struct ForgetPlan {
  ForgetReport report;
  std::vector<ForgottenMessage> messages;
  std::vector<CutSource> cut;
  std::vector<std::string> said;  ///< said_hash of what each memory's speakers said
};

/// `conversations`: null when there are none.
ForgetPlan make_plan(io::Database& memories, io::Database* conversations, const std::string& persona,
                     const ForgetOptions& options);
/// Error{usage} unless exactly one kind of what to forget is named.
void require_choice(const ForgetOptions& options);

}  // namespace reef::memory::internal
