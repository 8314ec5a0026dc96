#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace reef::retrieve {

/// Tells texts that say the same: those of which nine tenths of all runs of four words agree
/// (Broder, On the resemblance and containment of documents, 1997), case and spacing aside.
class NearDuplicates {
 public:
  /// True when `text` is new; it is then remembered.
  bool add(std::string_view text);

 private:
  std::vector<std::vector<std::uint64_t>> seen_;  ///< sorted hashes of the runs of each text
};

}  // namespace reef::retrieve
