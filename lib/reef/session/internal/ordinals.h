#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "reef/session/store.h"

namespace reef::session::internal {

/// Ids for messages that come without: message_digest() with the number of equal messages before. Remembers eight bytes
/// of each digest, in a table that is half full.
class Ordinals {
 public:
  std::string digest_of(const NewMessage& message);

 private:
  /// False when it was there.
  bool insert(std::uint64_t mark);
  void grow();

  std::vector<std::uint64_t> slots_;  ///< 0: free
  std::size_t used_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> again_;  ///< how often a message came again
};

}  // namespace reef::session::internal
