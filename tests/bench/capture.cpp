// What capturing a live tree costs, and those who write to it meanwhile. Prints one JSON object a line.
//
//   writer        a process commits without pause, alone and while as many snapshots are taken as asked for; each of
//                 these is then checked: PRAGMA integrity_check, and that no commit is half there. "refused" counts
//                 statements of the writer that were told that something is busy; its busy timeout is zero.
//   database      a large one that somebody has open: the capture of it, and the part of that which counts rows or runs
//                 quick_check
//   small files   many of them, first and unchanged
//
//   bench_capture [FOLDER [SNAPSHOTS [MB [FILES]]]]    a folder on the drive to be measured ($TMPDIR), 200, 600, 200000
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "../support/row_counter.h"
#include "../support/temp_dir.h"
#include "reef/backup/capture.h"
#include "reef/backup/internal/source_content.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"
#include "reef/tree/tree.h"

namespace {

using namespace reef;
namespace fs = std::filesystem;

/// Reads everything, and writes databases into a folder where one is given.
class Reader : public backup::SnapshotWriter {
 public:
  fs::path databases;
  std::unordered_map<std::string, std::string> states;
  std::uint64_t bytes = 0;

  bool keep(const backup::Entry& entry) override {
    const auto known = states.find(entry.path);
    return known != states.end() && known->second == entry.state;
  }
  void put(const backup::Entry& entry, backup::Content* content) override {
    if (content == nullptr) return;
    io::UniqueFd to;
    if (!databases.empty() && entry.path.ends_with(".sqlite"))
      to = io::open_file(databases, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    for (std::uint64_t at = 0; at < content->size_bytes(); at += piece_.size()) {
      piece_.resize(std::min<std::uint64_t>(1 << 20, content->size_bytes() - at));
      content->read(at, piece_);
      bytes += piece_.size();
      if (to) io::pwrite_all(to.get(), {reinterpret_cast<const char*>(piece_.data()), piece_.size()}, at, databases);
    }
    content->finish();
    if (!entry.state.empty()) states[entry.path] = entry.state;
  }
  void note_changed(const std::string&) override {}
  backup::Snapshot commit() override { return {}; }

 private:
  std::vector<std::uint8_t> piece_;
};

double seconds_of(const std::function<void()>& work, double& cpu) {
  const auto used = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  };
  const double before = used();
  const auto begun = std::chrono::steady_clock::now();
  work();
  cpu = used() - before;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

void say(const char* name, const char* what, double seconds, double cpu, const std::string& more) {
  fmt::print("{{\"case\": \"{}\", \"of\": \"{}\", \"seconds\": {:.4f}, \"cpu_seconds\": {:.4f}{}}}\n", name, what,
             seconds, cpu, more);
  std::fflush(stdout);
}

tree::Tree make_tree(const fs::path& root) {
  fs::create_directories(root);
  io::replace_file(root / tree::kMarkerFile, "reef tree 1\n");
  return tree::Tree::open(root);
}

void under_a_writer(const fs::path& folder, int snapshots) {
  const auto tree = make_tree(folder / "written");
  fs::create_directories(tree.conversations());
  const fs::path path = tree.conversations() / "conversations.sqlite";
  test::RowCounter::make(path, "PRAGMA journal_mode=WAL", 2000);
  fs::create_directory(folder / "copies");
  double took = 0;
  for (const bool alone : {false, true}) {
    test::RowWriter writer(path);
    double cpu = 0;
    const double seconds = seconds_of(
        [&] {
          if (alone) {
            ::usleep(static_cast<unsigned>(took * 1e6));
            return;
          }
          for (int i = 0; i < snapshots; ++i) {
            Reader reader;
            reader.databases = folder / "copies" / std::to_string(i);
            backup::capture(tree, 1, reader, {}, no_progress());
            ::usleep(20'000);
          }
        },
        cpu);
    writer.stop();
    took = seconds;
    std::string more = fmt::format(", \"commits\": {}, \"refused\": {}, \"slowest_commit_ms\": {:.2f}",
                                   writer.commits(), writer.failures(), static_cast<double>(writer.slowest_us()) / 1e3);
    if (!alone) {
      int bad = 0;
      for (int i = 0; i < snapshots; ++i)
        bad += test::RowCounter::fault(folder / "copies" / std::to_string(i)).empty() ? 0 : 1;
      more += fmt::format(", \"snapshots\": {}, \"bad\": {}", snapshots, bad);
    }
    say("writer", alone ? "alone" : "with snapshots", seconds, cpu, more);
  }
}

void large_database(const fs::path& folder, int megabytes) {
  const auto tree = make_tree(folder / "large");
  fs::create_directories(tree.conversations());
  const fs::path path = tree.conversations() / "conversations.sqlite";
  io::Database writer(path, io::OpenMode::create);
  writer.execute(
      "CREATE TABLE message(id INTEGER PRIMARY KEY, session INT, body TEXT); CREATE INDEX s ON message(session)");
  writer.execute(
      fmt::format("WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM k WHERE i<{}) INSERT INTO "
                  "message(session, body) SELECT i/50, hex(randomblob(400)) FROM k",
                  megabytes * 1180));
  writer.checkpoint();
  writer.execute("UPDATE message SET session=session+1 WHERE id%1000=0");
  const std::string size = fmt::format(", \"mb\": {}", fs::file_size(path) / 1'000'000);
  ::usleep(50'000);  // a state vouches for what is older than a tick of the clock
  double cpu = 0;
  Reader reader;
  double seconds = seconds_of([&] { backup::capture(tree, 1, reader, {}, no_progress()); }, cpu);
  say("database", "capture", seconds, cpu, size);
  io::Database other(path, io::OpenMode::read);
  seconds = seconds_of([&] { backup::internal::row_counts(other); }, cpu);
  say("database", "counts", seconds, cpu, size);
  seconds = seconds_of([&] { other.integrity(true); }, cpu);
  say("database", "quick_check", seconds, cpu, size);
  seconds = seconds_of([&] { backup::capture(tree, 1, reader, {}, no_progress()); }, cpu);
  say("database", "unchanged", seconds, cpu, size);
}

void small_files(const fs::path& folder, int files) {
  const auto tree = make_tree(folder / "small");
  constexpr int kInFolder = 1000;
  for (int i = 0; i < files; ++i) {
    const fs::path parent = tree.root() / "notes" / std::to_string(i / kInFolder);
    if (i % kInFolder == 0) fs::create_directories(parent);
    const fs::path path = parent / std::to_string(i);
    io::write_all(io::open_file(path, O_WRONLY | O_CREAT | O_CLOEXEC).get(), "a few bytes", path);
  }
  ::usleep(50'000);
  Reader reader;
  for (const char* const which : {"first", "unchanged"}) {
    double cpu = 0;
    const double seconds = seconds_of([&] { backup::capture(tree, 3, reader, {}, no_progress()); }, cpu);
    say("small files", which, seconds, cpu, fmt::format(", \"files\": {}", files));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const fs::path given = argc > 1 ? fs::path(argv[1]) : fs::temp_directory_path();
  ::setenv("TMPDIR", given.c_str(), 1);
  const test::TempDir folder;
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  under_a_writer(folder.path(), number(2, 200));
  large_database(folder.path(), number(3, 600));
  small_files(folder.path(), number(4, 200'000));
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "bench_capture: {}\n", error.what());
  return 1;
}
