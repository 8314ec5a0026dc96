#include "reef/memory/exports.h"

#include <algorithm>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/memory/internal/relationships.h"
#include "reef/memory/state.h"

namespace reef::memory {

std::vector<std::pair<std::string, std::string>> json_exports(io::Database& memories, const std::string& persona) {
  return {{"relationships.json", internal::relationships_json(memories)},
          {"emotional_state.json", to_json(emotional_state(memories, persona)) + "\n"}};
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
  std::vector<std::string> written;
  for (const auto& [name, content] : json_exports(memories, persona)) {
    if (!anew && holds(folder / name, content)) continue;
    io::replace_file(folder / name, content);
    written.push_back(name);
  }
  return written;
}

}  // namespace reef::memory
