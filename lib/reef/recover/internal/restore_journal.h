#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace reef::recover::internal {

inline constexpr const char* kJournalName = "journal";

/// What a restore has decided; the form is in replace.h.
struct Journal {
  struct Item {
    std::uint64_t inode = 0;
    std::filesystem::path staged;
    std::filesystem::path target;
  };
  std::vector<std::filesystem::path> stagings;
  std::vector<Item> items;
  std::string persona;
};

/// Into `folder`, durably.
void write_journal(const std::filesystem::path& folder, const Journal& journal);
/// nullopt where there is none. Throws Error{corrupt} for one that was changed since.
std::optional<Journal> read_journal(const std::filesystem::path& folder);

}  // namespace reef::recover::internal
