#include "reef/persona/internal/tables.h"

#include <fmt/format.h>

#include "reef/core/error.h"

namespace reef::persona::internal {
namespace {

/// Calls `each` with every name of "a, b, c".
template <typename Each>
void for_each_column(std::string_view columns, Each each) {
  while (!columns.empty()) {
    const auto end = std::min(columns.find(", "), columns.size());
    each(columns.substr(0, end));
    columns.remove_prefix(std::min(columns.size(), end + 2));
  }
}

}  // namespace

std::string common_columns(io::Database& database, std::string_view from, std::string_view to, std::string_view table,
                           std::string_view without) {
  auto names = database.prepare(
      "SELECT f.name FROM pragma_table_info(?1, ?2) f JOIN pragma_table_info(?1, ?3) t ON t.name = f.name"
      " WHERE f.name <> ?4 AND f.name NOT GLOB '*[^A-Za-z0-9_]*' ORDER BY t.cid");
  names.bind(1, table).bind(2, from).bind(3, to).bind(4, without);
  std::string columns;
  while (names.step()) columns += fmt::format("{}\"{}\"", columns.empty() ? "" : ", ", names.text(0));
  if (columns.empty())
    throw Error(Errc::corrupt, fmt::format("{} has no table {} that could be read", database.path(), table),
                "restore it from a backup");
  return columns;
}

std::string any_differs(const std::string& columns, std::string_view left, std::string_view right) {
  std::string sql;
  for_each_column(columns, [&](std::string_view column) {
    sql += fmt::format("{}{}.{} IS NOT {}.{}", sql.empty() ? "" : " OR ", left, column, right, column);
  });
  return "(" + sql + ")";
}

std::string of_table(const std::string& columns, std::string_view table) {
  std::string sql;
  for_each_column(
      columns, [&](std::string_view column) { sql += fmt::format("{}{}.{}", sql.empty() ? "" : ", ", table, column); });
  return sql;
}

std::int64_t one_number(io::Database& database, const std::string& sql) {
  auto statement = database.prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

bool has_table(io::Database& database, std::string_view schema, std::string_view table) {
  return one_number(database, fmt::format("SELECT count(*) FROM {}.sqlite_schema WHERE type = 'table' AND name = '{}'",
                                          schema, table)) > 0;
}

}  // namespace reef::persona::internal
