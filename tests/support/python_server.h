#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "reef/io/unique_handle.h"
#include "support/support_folder.h"
#include "support/temp_dir.h"
#include "support/wait_until.h"

extern char** environ;

namespace reef::test {

/// A server of tests/support for the time of one test: `script` PORT_FILE LOG_FILE with `more` arguments.
class PythonServer {
 public:
  explicit PythonServer(const std::string& script, const std::vector<std::string>& more = {}) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const io::UniqueFd read_end(ends[0]);
    stop_ = io::UniqueFd(ends[1]);
    const std::string port_file = dir_ / "port";
    std::vector<std::string> words = {"python3", support_folder() / script, port_file, dir_ / "log"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, read_end.get(), 0);
    const int status = ::posix_spawnp(&pid_, "python3", &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(status == 0);
    REQUIRE(wait_until([&] { return std::filesystem::exists(port_file); }));
    std::ifstream(port_file) >> port_;
    REQUIRE(port_ != 0);
  }
  PythonServer(const PythonServer&) = delete;
  PythonServer& operator=(const PythonServer&) = delete;
  ~PythonServer() {
    stop_.reset();
    ::waitpid(pid_, nullptr, 0);
  }

  /// "http://127.0.0.1:4711"
  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// One line each.
  std::vector<std::string> requests() const {
    std::ifstream file(dir_ / "log");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  const TempDir& dir() const { return dir_; }

 private:
  TempDir dir_;
  io::UniqueFd stop_;
  pid_t pid_ = 0;
  int port_ = 0;
};

}  // namespace reef::test
