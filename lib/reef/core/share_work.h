#pragma once

#include <cstddef>
#include <functional>

namespace reef {

/// Runs work(worker, item) once for every item in [0, count) on `threads` threads, the calling one
/// among them (worker 0). Each takes the next item when it is free, so they wait for one another
/// only at the end. `report` runs on the calling thread after each of its items and once at the end.
///
/// The first exception of any thread, Error{interrupted} on a signal included, stops all after the
/// item at hand and is thrown to the caller. Fewer threads are used when the system gives no more.
void share_work(unsigned threads, std::size_t count,
                const std::function<void(std::size_t worker, std::size_t item)>& work,
                const std::function<void()>& report);

}  // namespace reef
