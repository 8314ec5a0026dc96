#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "reef/core/cancel.h"
#include "reef/io/sqlite.h"

namespace reef::persona::internal {

/// SQLite's own wait looks again after 25 ms at most, until 100 ms: who waits so finds the database free.
inline constexpr std::chrono::milliseconds kTurnOfOthers{30};

/// Does `count` pieces of work in as few transactions as may last so long: work(i) does one, before_commit(n) is
/// told how many are done when a transaction is about to end. Returns the number of transactions.
template <typename Work, typename BeforeCommit>
std::uint64_t in_transactions(io::Database& database, std::size_t count, std::chrono::milliseconds longest, Work work,
                              BeforeCommit before_commit) {
  std::uint64_t transactions = 0;
  for (std::size_t done = 0; done < count; ++transactions) {
    check_interrupt();
    if (transactions > 0) std::this_thread::sleep_for(kTurnOfOthers);
    io::Transaction transaction(database);
    const auto end = std::chrono::steady_clock::now() + longest;
    do {
      work(done++);
    } while (done < count && std::chrono::steady_clock::now() < end);
    before_commit(done);
    transaction.commit();
  }
  return transactions;
}

}  // namespace reef::persona::internal
