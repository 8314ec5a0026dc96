#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "reef/session/store.h"

namespace reef::session::internal {

/// Ids for messages that come without: message_digest() with the number of equal messages before. Remembers eight bytes
/// of each digest, in a table that is half full.
class Ordinals {
 public:
  template <typename Any>  // NewMessage or Message
  std::string digest_of(const Any& message) {
    return digest_of(message.session, message.role, message.created, message.content);
  }
  std::string digest_of(std::string_view session, std::string_view role, std::string_view created,
                        std::string_view content);

 private:
  /// False when it was there.
  bool insert(std::uint64_t mark);
  void grow();

  std::vector<std::uint64_t> slots_;  ///< 0: free
  std::size_t used_ = 0;
  std::unordered_map<std::uint64_t, std::uint64_t> again_;  ///< how often a message came again
};

}  // namespace reef::session::internal
