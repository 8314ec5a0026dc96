#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace reef::cli {

class Session;

/// The whole of main(): parses, runs what the chosen subcommand's callback left in the session,
/// reports failure on stderr (as JSON with --json), checks that stdout was written, and returns
/// the exit status. Usage errors become status 2 with a suggestion. A pending signal is raised
/// again after unwinding, so that the parent sees the process end by that signal.
///
///   int main(int argc, char** argv) {
///     return cli::run("reef-index", "Search documents", argc, argv, [](CLI::App& app, cli::Session& session) {
///       add_query(app, session); …
///     });
///   }
int run(const std::string& name, const std::string& about, int argc, char** argv,
        const std::function<void(CLI::App&, Session&)>& define);

}  // namespace reef::cli
