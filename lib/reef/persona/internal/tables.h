#pragma once

#include <string>
#include <string_view>

#include "reef/io/sqlite.h"

namespace reef::persona::internal {

/// The columns that a table has in both databases of a connection, but `without`: "id, title, summary".
std::string common_columns(io::Database& database, std::string_view from, std::string_view to, std::string_view table,
                           std::string_view without = {});
/// Whether any of those columns differs: "a.id IS NOT b.id OR …".
std::string any_differs(const std::string& columns, std::string_view left, std::string_view right);
/// Each column with the table's name before it: "m.id, m.title".
std::string of_table(const std::string& columns, std::string_view table);

/// A statement that returns one number.
std::int64_t one_number(io::Database& database, const std::string& sql);

bool has_table(io::Database& database, std::string_view schema, std::string_view table);

}  // namespace reef::persona::internal
