#include <cmath>
#include <vector>

#include "reef/core/cancel.h"
#include "reef/memory/embeddings_file.h"
#include "reef/memory/exports.h"
#include "reef/memory/internal/purge.h"
#include "reef/memory/search_map.h"
#include "reef/memory/store.h"

namespace reef::memory {
namespace {

/// Less is not worth writing a row anew, with its vector, every night.
constexpr double kRecencyStep = .005;
constexpr std::size_t kRowsPerTransaction = 2048;

std::uint64_t refresh_recency(io::Database& database, Time time, double half_life_days) {
  struct Change {
    std::int64_t id;
    double recency;
  };
  std::vector<Change> changes;
  auto select = database.prepare("SELECT id, created_at, ifnull(access_count, 0), ifnull(recency, -1) FROM memories");
  while (select.step()) {
    const double wanted = recency(parse_time(select.text(1)), time, select.integer(2), half_life_days);
    if (std::abs(wanted - select.real(3)) > kRecencyStep) changes.push_back({select.integer(0), wanted});
  }
  select.reset();
  auto update = database.prepare("UPDATE memories SET recency = ? WHERE id = ?");
  for (std::size_t begin = 0; begin < changes.size(); begin += kRowsPerTransaction) {
    check_interrupt();
    io::Transaction transaction(database);
    for (std::size_t i = begin; i < std::min(changes.size(), begin + kRowsPerTransaction); ++i)
      update.bind(1, changes[i].recency).bind(2, changes[i].id).run();
    transaction.commit();
  }
  return changes.size();
}

}  // namespace

FinishReport Store::finish_run(bool anew) {
  FinishReport report;
  report.refreshed = refresh_recency(database_, options_.now.value_or(now()), options_.half_life_days);
  const VectorFileChange vectors = update_embeddings_file(folder_, database_, anew);
  report.appended = vectors.appended;
  report.rewritten = vectors.rewritten;
  store_search_map(database_, anew);
  if (vectors.rewritten || vectors.appended > 0) report.files.emplace_back("embeddings.npy");
  for (std::string& name : write_json_exports(folder_, database_, persona_, anew))
    report.files.push_back(std::move(name));
  report.not_purged = internal::purge(tree_, folder_, database_, options_);
  report.words_purged = report.not_purged.empty();
  auto count = database_.prepare("SELECT count(*), count(embedding) FROM memories");
  count.step();
  report.memories = static_cast<std::uint64_t>(count.integer(0));
  report.vectors = static_cast<std::uint64_t>(count.integer(1));
  count.reset();
  reload();  // rows may have new numbers
  return report;
}

}  // namespace reef::memory
