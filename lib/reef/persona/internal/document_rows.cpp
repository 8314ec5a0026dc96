#include <fmt/format.h>

#include <vector>

#include "reef/persona/internal/pieces.h"
#include "reef/persona/internal/shared_rows.h"
#include "reef/persona/internal/tables.h"

namespace reef::persona::internal {
namespace {

/// Of equal sources the ids may differ: nothing refers to them.
constexpr const char* kDiffer =
    "CREATE TEMP TABLE source_ops (path TEXT PRIMARY KEY, comes INTEGER NOT NULL, goes INTEGER NOT NULL) WITHOUT ROWID";

}  // namespace

void extract_documents(io::Database& copy, const std::string& persona) {
  const std::string columns = common_columns(copy, "source", "main", "sources");
  copy.prepare(fmt::format("INSERT INTO main.sources({0}) SELECT {0} FROM source.sources WHERE scope = ? ORDER BY id",
                           columns))
      .bind(1, "persona:" + persona)
      .run();
}

ReplaceReport replace_documents(io::Database& live, const std::string& persona, const ReplaceOptions& options) {
  const std::string scope = "persona:" + persona;
  const std::string columns = common_columns(live, "copy", "main", "sources", "id");
  ReplaceReport report;
  live.execute(kDiffer);
  std::vector<std::string> ends;  // of pieces: their last paths
  {
    io::Transaction snapshot(live, io::Transaction::Kind::read);
    live.prepare(fmt::format("INSERT INTO temp.source_ops SELECT c.path, 1, m.path IS NOT NULL FROM copy.sources c "
                             "LEFT JOIN main.sources m ON m.scope = c.scope AND m.path = c.path "
                             "WHERE c.scope = ? AND (m.path IS NULL OR {})",
                             any_differs(columns, "c", "m")))
        .bind(1, scope)
        .run();
    live.prepare(
            "INSERT INTO temp.source_ops SELECT m.path, 0, 1 FROM main.sources m WHERE m.scope = ?1 AND NOT EXISTS "
            "(SELECT 1 FROM copy.sources c WHERE c.scope = ?1 AND c.path = m.path)")
        .bind(1, scope)
        .run();
    report.came = static_cast<std::uint64_t>(one_number(live, "SELECT count(*) FROM temp.source_ops WHERE comes"));
    report.went = static_cast<std::uint64_t>(one_number(live, "SELECT count(*) FROM temp.source_ops WHERE NOT comes"));
    auto rows = live.prepare("SELECT path FROM temp.source_ops ORDER BY path");
    for (std::uint64_t n = 1; rows.step(); ++n)
      if (n % options.rows_at_once == 0 || n == report.came + report.went) ends.emplace_back(rows.text(0));
    rows.reset();
    snapshot.commit();  // a rollback would empty the table
  }
  auto remove = live.prepare(
      "DELETE FROM main.sources WHERE scope = ?1 AND path IN "
      "(SELECT path FROM temp.source_ops WHERE path > ?2 AND path <= ?3)");
  // Those whose id another one has by now get one behind all others.
  auto insert = live.prepare(
      fmt::format("INSERT INTO main.sources(id, {0}) "
                  "SELECT CASE WHEN t.id IS NULL THEN c.id END, {1} FROM temp.source_ops o "
                  "JOIN copy.sources c ON c.scope = ?1 AND c.path = o.path LEFT JOIN main.sources t ON t.id = c.id "
                  "WHERE o.comes AND o.path > ?2 AND o.path <= ?3 ORDER BY t.id IS NOT NULL, c.id",
                  columns, of_table(columns, "c")));
  report.transactions = in_transactions(
      live, ends.size(), options.longest,
      [&](std::size_t i) {
        const std::string before = i == 0 ? std::string() : ends[i - 1];
        remove.bind(1, scope).bind(2, before).bind(3, ends[i]).run();
        insert.bind(1, scope).bind(2, before).bind(3, ends[i]).run();
      },
      [](std::size_t) {});
  auto count = live.prepare("SELECT count(*) FROM main.sources WHERE scope = ?");
  count.bind(1, scope).step();
  report.rows = static_cast<std::uint64_t>(count.integer(0));
  return report;
}

}  // namespace reef::persona::internal
