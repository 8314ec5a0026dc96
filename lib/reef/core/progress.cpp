#include "reef/core/progress.h"

namespace reef {
namespace {

class NoProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, ProgressUnit) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
};

}  // namespace

Progress& no_progress() {
  static NoProgress nothing;
  return nothing;
}

}  // namespace reef
