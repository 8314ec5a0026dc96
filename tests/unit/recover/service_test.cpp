#include "reef/recover/service.h"

#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "support/temp_dir.h"

using namespace reef;
using recover::Service;
using recover::StoppedServices;

namespace {

/// A command that appends a word to a file.
std::vector<std::string> note(const std::filesystem::path& file, const std::string& word) {
  return {"sh", "-c", "printf '%s ' \"$2\" >> \"$1\"", "sh", file.string(), word};
}

std::string thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == Errc::failed);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("services: commands of the configuration, of all personas or of one") {
  const auto config = tree::Config::parse("system",
                                          "services:\n  alice: {stop: [systemctl, stop, a b], start: [run, \"\"]}\n"
                                          "  bob: {stop: []}\n  carol: {start: [run]}\n",
                                          "system.yaml");
  const auto all = recover::services(config);
  REQUIRE(all.size() == 2);
  CHECK(all[0].persona == "alice");
  CHECK(all[0].stop == std::vector<std::string>{"systemctl", "stop", "a b"});
  CHECK(all[1].persona == "carol");
  CHECK(all[1].stop.empty());
  const auto one = recover::services(config, {"carol", "bob"});
  REQUIRE(one.size() == 1);
  CHECK(one[0].persona == "carol");
}

TEST_CASE("services: stopped in order, started in the opposite one, once") {
  const test::TempDir temp;
  const auto log = temp / "log";
  {
    StoppedServices services(
        {{"a", note(log, "stop-a"), note(log, "start-a")}, {"b", note(log, "stop-b"), note(log, "start-b")}});
    CHECK(io::read_file(log) == "stop-a stop-b ");
    services.start();
    CHECK(io::read_file(log) == "stop-a stop-b start-b start-a ");
  }
  CHECK(io::read_file(log) == "stop-a stop-b start-b start-a ");
}

TEST_CASE("services: started again when what was to be done fails, and after a signal") {
  const test::TempDir temp;
  const auto log = temp / "log";
  try {
    const StoppedServices services(std::vector<Service>{{"a", note(log, "stop"), note(log, "start")}});
    pending_signal = SIGINT;
    throw std::runtime_error("restore");
  } catch (const std::runtime_error&) {
  }
  CHECK(pending_signal == SIGINT);
  pending_signal = 0;
  CHECK(io::read_file(log) == "stop start ");
}

TEST_CASE("services: one that cannot be stopped says why, and all are started again") {
  const test::TempDir temp;
  const auto log = temp / "log";
  const Service good{"a", note(log, "stop-a"), note(log, "start-a")};
  const Service bad{"b", {"sh", "-c", "echo to out; echo to err >&2; exit 7"}, note(log, "start-b")};
  const std::string what = thrown([&] { const StoppedServices services({good, bad}); });
  CHECK(what.find("services.b.stop") != std::string::npos);
  CHECK(what.find("status 7: to out\nto err") != std::string::npos);
  CHECK(io::read_file(log) == "stop-a start-b start-a ");
  CHECK(thrown([] {
          const StoppedServices services(std::vector<Service>{{"c", {"no-such-program"}, {}}});
        }).find("cannot be run") != std::string::npos);
}

TEST_CASE("services: a command that hangs is ended, one that cannot start does not keep the others down") {
  const test::TempDir temp;
  const auto log = temp / "log";
  CHECK(
      thrown([] {
        const StoppedServices services(std::vector<Service>{{"a", {"sleep", "60"}, {}}}, std::chrono::milliseconds(50));
      }).find("was ended after 50 ms") != std::string::npos);
  StoppedServices services({{"a", {}, note(log, "start-a")}, {"b", {}, {"false"}}});
  const std::string what = thrown([&] { services.start(); });
  CHECK(what.find("services.b.start: 'false' ended with status 1") != std::string::npos);
  CHECK(io::read_file(log) == "start-a ");
}
