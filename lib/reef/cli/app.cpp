#include "reef/cli/app.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <thread>

#include "reef/cli/progress.h"
#include "reef/core/units.h"

namespace reef::cli {

void Session::add_common_options(CLI::App& app) {
  app.add_option("--root", root_, "Storage tree (default: $REEF_ROOT, else /coral-reef)")
      ->type_name("DIR")
      ->group("Common options");
  app.add_flag("--json", json_, "Print JSON")->group("Common options");
  app.add_flag("-q,--quiet", quiet_, "Print errors only")->group("Common options");
  app.add_flag("-v,--verbose", verbose_, "Say more on stderr (-vv: detail)")->group("Common options");
  app.add_option("--color", color_, "Colour \"error\" and the like on stderr")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN")
      ->group("Common options");
}

Progress& Session::progress() {
  static TerminalProgress bar;
  return quiet_ || json_ || ::isatty(STDERR_FILENO) == 0 ? no_progress() : bar;
}

namespace {

int write_error = 0;  ///< errno of the first write to stdout that failed

}  // namespace

void Session::print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && write_error == 0) write_error = errno;
}

int Session::flush() {
  if (std::fflush(stdout) != 0 && write_error == 0) write_error = errno;
  return write_error;
}

void add_dry_run(CLI::App& app, bool& dry_run) {
  app.add_flag("-n,--dry-run", dry_run, "Print the plan and change nothing");
}

void add_force(CLI::App& app, bool& force, const std::string& what) { app.add_flag("-f,--force", force, what); }

void add_yes(CLI::App& app, bool& yes, const std::string& what) { app.add_flag("-y,--yes", yes, what); }

void add_wait(CLI::App& app, std::chrono::milliseconds& wait) {
  app.add_option_function<std::string>(
         "--wait", [&wait](const std::string& text) { wait = parse_duration(text); },
         "Wait for another run to end (default: fail at once)")
      ->type_name("DURATION");
}

void add_threads(CLI::App& app, unsigned& threads) {
  threads = 0;
  app.add_option_function<std::string>(
         "--threads",
         [&threads](const std::string& text) {
           const std::uint64_t count = parse_count(text, "--threads");
           if (count == 0 || count > 1024) throw Error(Errc::usage, "--threads takes a number from 1 to 1024");
           threads = static_cast<unsigned>(count);
         },
         "Threads to use (default: all cores)")
      ->type_name("N");
}

unsigned threads_or_all(unsigned threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& about) {
  return app
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            value = parse_count(text, name.substr(name.find_last_of(',') + 1));
          },
          about)
      ->type_name("N");
}

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& about, const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, about);
  verb->footer("Common options (--root, --json, -q, -v, --color): " + app.get_name() + " --help\n\nExample:\n  " +
               example + "\n\nThe manual: man " + app.get_name());
  return verb;
}

}  // namespace reef::cli
