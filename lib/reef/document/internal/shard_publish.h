#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace reef::document::internal {

/// In a folder that takes part in a move: when the link does not lead to it, it is a leftover.
inline constexpr const char* kMovingMark = ".moving";
void mark_moving(const std::filesystem::path& folder);
void unmark(const std::filesystem::path& folder);
bool is_marked(const std::filesystem::path& folder);

/// ".<persona>.moving-<random>": a copy that is being made, an old store that is being removed, a link on its way.
/// ".<persona>.kept-<random>" is a whole store that is the persona's when its own name is not there: see
/// put_in_place().
std::filesystem::path moving_name(const std::filesystem::path& folder, const std::string& persona);
std::filesystem::path kept_name(const std::filesystem::path& folder, const std::string& persona);
/// The persona of such a name; empty for other names.
std::string persona_of(std::string_view name, std::string_view kind);
inline constexpr std::string_view kMoving = "moving";
inline constexpr std::string_view kKept = "kept";

/// Puts `fresh`, a link or a folder, in the place of `name`, a folder or a link, both in one folder, durably. Returns
/// what the old one is called now. One system call where the filesystem exchanges names. Others (ZFS before 2.2, NFS;
/// also with REEF_IO=plain) take two renames, between which `name` is absent and its store bears kept_name(): whichever
/// of the two holds the folder.
std::filesystem::path put_in_place(const std::filesystem::path& fresh, const std::filesystem::path& name,
                                   const std::string& persona);

/// The same with a new symbolic link to `target`.
std::filesystem::path put_link_in_place(const std::filesystem::path& target, const std::filesystem::path& name,
                                        const std::string& persona);

/// Makes the symbolic link `name` lead to `target` at once, whether it was there or not.
void replace_link(const std::filesystem::path& name, const std::filesystem::path& target, const std::string& persona);

/// Removes a folder or link that nothing leads to: under a hidden name first, so that a part never looks like a store.
void remove_store(const std::filesystem::path& path, const std::string& persona);

}  // namespace reef::document::internal
