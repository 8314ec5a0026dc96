#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reef/core/error.h"
#include "reef/core/progress.h"

namespace reef::cli {

/// What every command shares: the common options, output, and the work that a subcommand chose.
class Session {
 public:
  /// --root as given; empty: REEF_ROOT or /coral-reef (tree::Tree::find_root).
  const std::optional<std::string>& root() const { return root_; }
  bool json() const { return json_; }
  bool quiet() const { return quiet_; }
  int verbosity() const { return quiet_ ? -1 : verbose_; }

  /// The progress bar on stderr; nothing when that is no terminal, with -q or --json.
  Progress& progress();

  /// Prints the result in the form asked for: to_json(value) with --json, else to_text(value),
  /// both found beside the type in its module. to_text() ends its own lines.
  template <typename T>
  void show(const T& value) {
    print(json_ ? to_json(value) + "\n" : to_text(value));
  }
  /// Text for stdout; buffered, checked at the end of run().
  static void print(const std::string& text);
  /// Brings everything printed to stdout; errno of the first write that failed, or 0.
  static int flush();

  /// Called by a subcommand's CLI11 callback: the work to do once parsing is over. Its return
  /// value is the exit status.
  void choose(std::function<int()> work) { work_ = std::move(work); }

 private:
  friend int run(const std::string&, const std::string&, int, char**, const std::function<void(CLI::App&, Session&)>&);
  void add_common_options(CLI::App& app);

  std::optional<std::string> root_;
  bool json_ = false;
  bool quiet_ = false;
  int verbose_ = 0;
  std::string color_ = "auto";
  std::function<int()> work_;
};

/// Options that mean the same in every command; a command without a plan does not offer --dry-run.
void add_dry_run(CLI::App& app, bool& dry_run);
void add_force(CLI::App& app, bool& force, const std::string& what);
void add_yes(CLI::App& app, bool& yes, const std::string& what);
void add_wait(CLI::App& app, std::chrono::milliseconds& wait);
/// 0 until given: asking for the number of cores reads a file, which a question need not wait for.
void add_threads(CLI::App& app, unsigned& threads);
unsigned threads_or_all(unsigned threads);

/// Options whose values need more than CLI11's conversions: no wrapped negatives, no octal.
CLI::Option* add_count(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& about);

/// A subcommand with its one-line description and an example that --help shows.
CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& about, const std::string& example);

}  // namespace reef::cli
