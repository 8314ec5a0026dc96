#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace reef::backup::internal {

/// A small file of facts: one JSON object on one line that a person can read, whose last member, "xxh3", is the XXH3 of
/// all bytes before that member's comma in 16 hex digits. A flipped bit anywhere in it is noticed.

/// The text of such a file, from the dump of an object with at least one member.
std::string seal(const std::string& object);

/// The object's text, without the seal. Throws Error{corrupt} naming `path` where the seal is not there or not true;
/// `hint` is the operator's next step.
std::string unseal(const std::string& text, const std::filesystem::path& path, const std::string& hint);

/// Most bytes that are read of such a file.
inline constexpr std::uint64_t kMostSealedBytes = std::uint64_t{64} << 20;

}  // namespace reef::backup::internal
