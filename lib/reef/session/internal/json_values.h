#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace reef::session::internal {

/// The object that `text` is; an empty one with `fault` set when it is none, or too deep.
nlohmann::json parse_object(std::string_view text, std::string& fault);

/// A string, or a number as its digits; empty for anything else.
std::string text_at(const nlohmann::json& object, const char* key);
const nlohmann::json& value_at(const nlohmann::json& object, const char* key);

/// A time out of any of the forms that exports have: seconds, milliseconds, RFC 3339, SillyTavern's. In the database's
/// form; empty when it is none.
std::string time_of(const nlohmann::json& value);

/// The text of a message's parts: strings and text parts as they are, one below the other, "[image]" and the like for
/// the others.
std::string text_of_parts(const nlohmann::json& parts);

/// An object as metadata; empty when there is nothing in it.
std::string metadata_text(const nlohmann::json& object);

}  // namespace reef::session::internal
