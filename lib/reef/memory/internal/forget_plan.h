#pragma once

#include <string>
#include <vector>

#include "reef/memory/forget.h"

namespace reef::memory::internal {

/// A message that is not to be learned from again.
struct ForgottenMessage {
  std::int64_t id = 0;
  std::string session;
  std::string content_hash;  ///< empty: its text could not be read, or it is gone
};

struct ForgetPlan {
  ForgetReport report;
  std::vector<ForgottenMessage> messages;
};

/// `conversations`: null when there are none.
ForgetPlan make_plan(io::Database& memories, io::Database* conversations, const std::string& persona,
                     const ForgetOptions& options);
/// Error{usage} unless exactly one kind of what to forget is named.
void require_choice(const ForgetOptions& options);

}  // namespace reef::memory::internal
