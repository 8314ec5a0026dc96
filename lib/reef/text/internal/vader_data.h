#pragma once

#include <optional>
#include <string_view>

namespace reef::text::internal {

/// The mean rating of a token in lower case, -4 to 4; nullopt for one that the lexicon does not have.
std::optional<double> vader_rating(std::string_view token);
/// What an emoji of one character shows, in words; empty for other characters.
std::string_view emoji_description(std::string_view character);

}  // namespace reef::text::internal
