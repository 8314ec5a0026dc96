#pragma once

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace reef::cli {

/// What --generate prints: a completion script for "bash", "zsh" or "fish", or, for "json", the
/// tree of commands and options that tests compare with the manual. Throws Error{usage} otherwise.
std::string generate(const CLI::App& app, std::string_view what);

}  // namespace reef::cli
