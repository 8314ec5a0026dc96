#include "reef/cli/app.h"

#include <doctest/doctest.h>

#include "reef/cli/completion.h"

using namespace reef;

namespace {

struct Options {
  CLI::App app{"about", "reef-test"};
  std::uint64_t count = 7;
  unsigned threads = 9;
  std::chrono::milliseconds wait{0};
  bool dry_run = false;

  Options() {
    CLI::App* verb = cli::add_verb(app, "ingest", "Take files in", "reef-test ingest x");
    cli::add_count(*verb, "-k,--count", count, "Results");
    cli::add_threads(*verb, threads);
    cli::add_wait(*verb, wait);
    cli::add_dry_run(*verb, dry_run);
  }
  void parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
    app.parse(arguments);
  }
};

}  // namespace

TEST_CASE("numbers are what was written, or an error that names the option") {
  Options given;
  given.parse({"ingest", "-k", "010", "--threads", "2", "--wait", "1.5s", "-n"});
  CHECK(given.count == 10);  // not octal
  CHECK(given.threads == 2);
  CHECK(given.wait == std::chrono::milliseconds(1500));
  CHECK(given.dry_run);
  for (const char* bad : {"-1", "1e3", "99999999999999999999", "0x10", " 1"}) {
    CAPTURE(bad);
    CHECK_THROWS_WITH_AS(Options().parse({"ingest", "--count=" + std::string(bad)}), doctest::Contains("--count"),
                         Error);
  }
  CHECK_THROWS_AS(Options().parse({"ingest", "--threads", "0"}), Error);
  CHECK_THROWS_AS(Options().parse({"ingest", "--threads", "1025"}), Error);
}

TEST_CASE("threads are all cores until a number is given") {
  const Options given;
  CHECK(given.threads == 0);
  CHECK(cli::threads_or_all(0) >= 1);
  CHECK(cli::threads_or_all(3) == 3);
}

TEST_CASE("completions know every option of every verb") {
  const Options given;
  for (const char* shell : {"bash", "zsh", "fish", "json"}) {
    const std::string script = cli::generate(given.app, shell);
    CAPTURE(shell);
    for (const char* word : {"ingest", "count", "threads", "wait", "dry-run"})
      CHECK(script.find(word) != std::string::npos);
  }
  CHECK_THROWS_AS(cli::generate(given.app, "tcsh"), Error);
}
