#include "reef/memory/exports.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/memory/internal/relationships.h"
#include "reef/memory/state.h"

namespace reef::memory {
namespace {

constexpr std::array<const char*, 2> kNames{"relationships.json", "emotional_state.json"};
constexpr const char* kNote = "json_exports";  ///< in progress: files_state() while they tell what the database does

/// Empty when one of them is not there.
std::string files_state(const std::filesystem::path& folder, const std::string& persona) {
  std::string state = persona;
  for (const char* name : kNames) {
    std::error_code error;
    const auto size = std::filesystem::file_size(folder / name, error);
    if (error) return {};
    const auto time = std::filesystem::last_write_time(folder / name, error);
    if (error) return {};
    state += fmt::format(" {} {}", size, time.time_since_epoch().count());
  }
  return state;
}

}  // namespace

void watch_json_exports(io::Database& memories) {
  constexpr std::array<const char*, 10> kChanges{"INSERT ON memories",
                                                 "DELETE ON memories",
                                                 "UPDATE OF valence, arousal, importance, created_at ON memories",
                                                 "INSERT ON entities",
                                                 "DELETE ON entities",
                                                 "INSERT ON memory_entities",
                                                 "DELETE ON memory_entities",
                                                 "INSERT ON links",
                                                 "DELETE ON links",
                                                 "UPDATE ON links"};
  for (std::size_t i = 0; i < kChanges.size(); ++i)
    memories.execute(
        fmt::format("CREATE TEMP TRIGGER watch_{} AFTER {} BEGIN DELETE FROM progress WHERE key = '{}'; END", i,
                    kChanges[i], kNote));
}

std::vector<std::pair<std::string, std::string>> json_exports(io::Database& memories, const std::string& persona) {
  return {{kNames[0], internal::relationships_json(memories)},
          {kNames[1], to_json(emotional_state(memories, persona)) + "\n"}};
}

bool holds(const std::filesystem::path& file, const std::string& content) {
  try {
    return io::read_file(file, content.size()) == content;
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
    return false;
  }
}

std::vector<std::string> write_json_exports(const std::filesystem::path& folder, io::Database& memories,
                                            const std::string& persona, bool anew) {
  auto noted = memories.prepare("SELECT value FROM progress WHERE key = ?");
  if (!anew && noted.bind(1, kNote).step() && noted.text(0) == files_state(folder, persona)) return {};
  noted.reset();
  std::vector<std::string> written;
  for (const auto& [name, content] : json_exports(memories, persona)) {
    if (!anew && holds(folder / name, content)) continue;
    io::replace_file(folder / name, content);
    written.push_back(name);
  }
  auto note = memories.prepare("INSERT OR REPLACE INTO progress(key, value) VALUES (?, ?)");
  note.bind(1, kNote).bind(2, files_state(folder, persona)).run();
  return written;
}

}  // namespace reef::memory
