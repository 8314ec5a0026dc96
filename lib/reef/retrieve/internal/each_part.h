#pragma once

#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace reef::retrieve::internal {

/// Runs `work(i)` for each part at once, each in a thread of its own: parts lie on drives of their own. The first is
/// run by the caller, so that a store that is whole starts none; so are those for which the system gives no thread.
/// Throws what the first one that fails throws.
template <typename Work>
void each_part(std::size_t count, const Work& work) {
  if (count == 1) return work(0);
  std::vector<std::exception_ptr> failed(count);
  const auto guarded = [&](std::size_t i) {
    try {
      work(i);
    } catch (...) {
      failed[i] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    try {
      for (std::size_t i = 1; i < count; ++i) threads.emplace_back([&guarded, i] { guarded(i); });
    } catch (const std::system_error&) {
    }
    if (count > 0) guarded(0);
    for (std::size_t i = threads.size() + 1; i < count; ++i) guarded(i);
  }
  for (const std::exception_ptr& error : failed)
    if (error) std::rethrow_exception(error);
}

}  // namespace reef::retrieve::internal
