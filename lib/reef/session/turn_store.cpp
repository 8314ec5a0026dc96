#include "reef/session/turn_store.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "reef/core/error.h"
#include "reef/session/schema.h"
#include "reef/tree/folders.h"

namespace reef::session {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDatabase = "metadata.sqlite";
constexpr const char* kMapping = "id_mapping.json";
constexpr const char* kNextStep = "remove the folder, which can be made again: 'reef-session index' does it";

fs::path made(const fs::path& folder) {
  tree::make_folders(folder);
  return folder;
}

/// The caller holds the lock, so that what a killed run left can go.
io::Database open_for_writing(const fs::path& folder) {
  io::remove_stale(folder);
  const std::string schema = std::string(vector::kStoreSchema) + vector::kIndexSchema + TurnMap::kSchema;
  const char* const migrations[] = {schema.c_str()};
  return io::open_or_make(folder / kDatabase, migrations, io::temporary_name(folder / kDatabase));
}

void require_agreement(const io::Database& database, const TurnMap& map, std::uint64_t rows) {
  if (map.size() == rows) return;
  throw Error(Errc::corrupt,
              fmt::format("{} knows {} turns, and its vectors are {}", io::shown(database.path()), map.size(), rows),
              kNextStep);
}

/// How an id_mapping.json of that content begins.
std::string mapping_head(const vector::StoreState& state, std::uint64_t dead) {
  return fmt::format(
      R"({{"schema":"reef.turns.id_mapping/1","generation":{},"rows_total":{},"dead_rows":{},"messages":{{)",
      state.generation, state.rows_total, dead);
}

/// generation, rows_total and dead_rows of the file that is there.
struct MappingCounts {
  long long generation = -1, rows_total = 0, dead_rows = 0;
};
MappingCounts read_mapping(const fs::path& path) {
  MappingCounts counts;
  try {
    // Its two ends: a search that embeds a message more must not read all of it.
    std::array<char, 201> begin{};
    std::array<char, 3> end{};
    const io::UniqueFd file = io::open_file(path, O_RDONLY | O_CLOEXEC);
    const std::uint64_t all = io::file_size(file.get(), path);
    if (all < end.size()) return {};
    io::pread_exact(file.get(), begin.data(), std::min<std::uint64_t>(all, begin.size() - 1), 0, path);
    io::pread_exact(file.get(), end.data(), end.size(), all - end.size(), path);
    if (std::string_view(end.data(), end.size()) != "}}\n") return {};
    const int read = std::sscanf(  // NOLINT(cert-err34-c): what does not fit is written anew
        begin.data(), R"({"schema":"reef.turns.id_mapping/1","generation":%lld,"rows_total":%lld,"dead_rows":%lld,)",
        &counts.generation, &counts.rows_total, &counts.dead_rows);
    return read == 3 ? counts : MappingCounts{};
  } catch (const Error&) {
    return {};  // derived: whoever may write makes it again
  }
}

std::string mapping_text(const TurnMap& map, const vector::StoreState& state, std::uint64_t dead) {
  std::string text = mapping_head(state, dead);
  const char* comma = "";
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (map[i].is_removed()) continue;
    text += fmt::format("{}\"{}\":{}", comma, i, map[i].id);
    comma = ",";
  }
  return text + "}}\n";
}

std::uint64_t count_lost(const tree::Tree& tree, const std::string& persona, const TurnMap& map) {
  io::Database conversations = read_conversations(tree);
  auto settled = conversations.prepare(
      "SELECT m.id, m.content FROM messages m JOIN sessions s ON s.id = m.session_id "
      "JOIN persona_numbers n ON n.persona_id = s.persona_id "
      "LEFT JOIN pending_messages p ON p.persona = n.number AND p.message = m.id "
      "JOIN messages_fts_docsize w ON w.id = (n.number << 40 | m.id) "
      "WHERE s.persona_id = ? AND p.message IS NULL AND m.archive_offset IS NULL");
  settled.bind(1, persona);
  std::uint64_t lost = 0;
  while (settled.step())
    if (!map.position_of(settled.integer(0)) && !is_blank_turn(settled.text(1))) ++lost;
  return lost;
}

std::uint64_t count_dead(io::Database& database) {
  auto dead = database.prepare("SELECT count(*) FROM dead_rows");
  dead.step();
  return static_cast<std::uint64_t>(dead.integer(0));
}

}  // namespace

bool is_blank_turn(std::string_view content) {
  return std::all_of(content.begin(), content.end(), [](char c) { return static_cast<unsigned char>(c) <= ' '; });
}

TurnStore::TurnStore(const tree::Tree& tree, const std::string& persona, std::chrono::milliseconds wait)
    : folder_(made(tree.turns(persona))),
      lock_(folder_ / ".lock", wait),
      database_(open_for_writing(folder_)),
      vectors_(folder_, database_) {
  map_.load(database_, kNextStep);
  require_agreement(database_, map_, vectors_.state().rows_total);
}

void TurnStore::commit() {
  vectors_.commit();
  map_.save(database_);
}

void TurnStore::remove(std::uint32_t position) {
  map_.remove(position);
  const std::uint64_t row = position;
  vectors_.remove({&row, 1});
}

bool TurnStore::rebuild_is_due() { return vector::rebuild_is_due(vectors_.state(), count_dead(database_)); }

vector::Rebuilt TurnStore::rebuild(unsigned threads, Progress& progress) {
  vector::RebuildOptions options;
  options.threads = threads;
  options.with_graph = vector::is_large_enough(vectors_.state());
  vector::Rebuilt rebuilt = vector::rebuild(vectors_, options, progress);
  try {
    io::Transaction transaction(database_);
    if (rebuilt.removed > 0) map_.renumber(rebuilt.kept);
    vectors_.adopt(rebuilt.state);
    map_.save(database_);
    transaction.commit();
  } catch (...) {
    vectors_.reload();
    map_.load(database_, kNextStep);
    throw;
  }
  vectors_.publish();
  vectors_.remove_unnamed();
  database_.checkpoint();
  return rebuilt;
}

void TurnStore::write_id_mapping(bool append_only) {
  constexpr long long kLarge = 20'000;
  const auto& state = vectors_.state();
  const std::uint64_t dead = count_dead(database_);
  const auto rows = static_cast<long long>(state.rows_total);
  const MappingCounts present = read_mapping(folder_ / kMapping);
  const bool same = present.generation == state.generation && present.dead_rows == static_cast<long long>(dead);
  if (same && present.rows_total == rows) return;
  if (same && append_only && rows >= kLarge && present.rows_total * 10 >= rows * 9 && present.rows_total <= rows)
    return;
  io::replace_file(folder_ / kMapping, mapping_text(map_, state, dead));
}

void TurnStore::finish_run(bool append_only) {
  vectors_.publish();
  write_id_mapping(append_only);
}

bool TurnReader::exists(const tree::Tree& tree, const std::string& persona) {
  std::error_code ignored;
  return fs::exists(tree.turns(persona) / kDatabase, ignored);
}

TurnReader::TurnReader(const tree::Tree& tree, const std::string& persona)
    : folder_(tree.turns(persona)),
      database_(folder_ / kDatabase, io::OpenMode::read),
      transaction_((io::require_version(database_, kTurnsVersion), database_), io::Transaction::Kind::read),
      vectors_(vector::open_reader(folder_, database_, transaction_)) {
  map_.load(database_, kNextStep);
  require_agreement(database_, map_, vectors_.state().rows_total);
}

std::vector<vector::StoreFault> verify_turns(const tree::Tree& tree, const std::string& persona,
                                             std::chrono::milliseconds wait) {
  const fs::path folder = tree.turns(persona);
  const auto lock = io::LockFile::for_reading(folder / ".lock", wait);
  io::Database database(folder / kDatabase, io::OpenMode::read);
  std::vector<vector::StoreFault> faults;
  if (const std::string damage = database.integrity(); !damage.empty()) return {{kDatabase, damage, false, kNextStep}};
  io::require_version(database, kTurnsVersion);
  faults = vector::verify_store(folder, database);
  try {
    TurnMap map;
    map.load(database, kNextStep);
    const auto state = vector::read_state(database);
    require_agreement(database, map, state.rows_total);
    for (std::size_t i = 0; i < map.size(); ++i) {
      const Turn& turn = map[i];
      const auto links_back = [&](std::uint32_t other, std::uint32_t Turn::*back) {
        return other == kNoTurn || (!map[other].is_removed() && map[other].*back == i);
      };
      if (!links_back(turn.previous, &Turn::next) || !links_back(turn.next, &Turn::previous))
        faults.push_back({kDatabase, fmt::format("turn {} and its neighbours do not agree", i), false, kNextStep});
    }
    if (const std::uint64_t lost = count_lost(tree, persona, map); lost > 0)
      faults.push_back({kDatabase, fmt::format("{} messages are neither here nor pending", lost), false,
                        fmt::format("run 'reef-session index --persona {} --again'", persona)});
    const MappingCounts mapping = read_mapping(folder / kMapping);
    if (mapping.generation != state.generation || mapping.rows_total > static_cast<long long>(state.rows_total))
      faults.push_back({kMapping, "is absent, or of another generation", true, {}});
  } catch (const Error& error) {
    faults.push_back({kDatabase, error.what(), false, kNextStep});
  }
  return faults;
}

}  // namespace reef::session
