#include "reef/core/cancel.h"

#include "reef/core/error.h"

namespace reef {

volatile std::sig_atomic_t pending_signal = 0;

void check_interrupt() {
  if (pending_signal != 0) throw Error(Errc::interrupted, "interrupted");
}

}  // namespace reef
