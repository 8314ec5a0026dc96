#pragma once

#include <csignal>

namespace reef {

/// Set by the handlers of SIGINT and SIGTERM (cli/run.cpp); 0 while nothing asked us to stop.
extern volatile std::sig_atomic_t pending_signal;

/// Throws Error{interrupted} when a signal is pending. Long loops call it between units of work.
void check_interrupt();

}  // namespace reef
