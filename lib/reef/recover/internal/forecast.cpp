#include "reef/recover/internal/forecast.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/backup/ledger.h"
#include "reef/core/error.h"
#include "reef/io/sqlite.h"
#include "reef/io/sqlite_mode.h"

namespace reef::recover::internal {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

Loss newer(const std::string& what, const fs::path& database, const std::string& sql, const std::string& persona,
           const std::string& since) {
  Loss loss{what, 0, {}};
  std::error_code ignored;
  if (!fs::exists(database, ignored)) return loss;
  try {
    io::Database open(database, io::mode_to_look(database));
    auto query = open.prepare(sql);
    query.bind(1, since);
    if (!persona.empty()) query.bind(2, persona);
    query.step();
    loss.count = static_cast<std::uint64_t>(query.integer(0));
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    loss.unknown = error.what();
  }
  return loss;
}

std::optional<milliseconds> expected(const tree::Tree& tree, int tier, std::uint64_t bytes) {
  const auto drill = backup::read_ledger(tree, tier).drill;
  if (!drill || drill->bytes == 0) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(static_cast<double>(drill->duration.count()) *
                                                static_cast<double>(bytes) / static_cast<double>(drill->bytes)));
}

std::string command_line(const std::vector<std::string>& argv) { return fmt::format("{}", fmt::join(argv, " ")); }

}  // namespace reef::recover::internal
