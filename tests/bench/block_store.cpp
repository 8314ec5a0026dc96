// What tier 1 costs beside restic (repository version 2) on the same tree: a database of text, vectors, and bytes that
// do not compress, 40 : 40 : 20. Prints one JSON object a line: step, program, seconds, cpu_seconds, added_bytes.
//
//   bench_block_store FOLDER MB [restic]         the tree and the repositories are made in FOLDER, which must not be
//   there bench_block_store FOLDER MB files [restic]   the same in files of about 2 KiB
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "reef/backup/repository.h"
#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/io/sqlite.h"

namespace {

namespace fs = std::filesystem;
using namespace reef;

constexpr std::size_t kDim = 768;
std::mt19937_64 random_bits(7);  // NOLINT: the same bytes each time

/// Text that compresses like prose: made-up words with Zipf's frequencies.
std::string prose(std::size_t bytes) {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> made(4000);
    for (std::string& word : made)
      for (std::size_t n = 2 + random_bits() % 9; n > 0; --n) word += static_cast<char>('a' + random_bits() % 26);
    return made;
  }();
  std::string out;
  while (out.size() < bytes) {
    const double u = static_cast<double>(random_bits() >> 11) * 0x1p-53;
    out += words[static_cast<std::size_t>(std::pow(static_cast<double>(words.size()), u)) - 1] + " ";
  }
  return out;
}

void add_messages(const fs::path& path, std::size_t bytes) {
  io::Database database(path, io::OpenMode::create);
  database.expect_many_rows();
  database.execute("CREATE TABLE IF NOT EXISTS message(id INTEGER PRIMARY KEY, session TEXT, body TEXT)");
  database.execute("CREATE INDEX IF NOT EXISTS by_session ON message(session, id)");
  io::Transaction transaction(database);
  io::Statement insert = database.prepare("INSERT INTO message(session, body) VALUES('session-' || ?, ?)");
  for (std::size_t done = 0; done < bytes;) {
    const std::string body = prose(100 + random_bits() % 900);
    done += body.size();
    insert.bind(1, static_cast<std::int64_t>(random_bits() % 50)).bind(2, body).run();
  }
  transaction.commit();
  database.checkpoint();
}

void add_floats(std::ostream& file, std::size_t rows) {
  std::normal_distribution<float> normal;
  std::vector<float> row(kDim);
  for (; rows > 0; --rows) {
    for (float& x : row) x = normal(random_bits);
    file.write(reinterpret_cast<const char*>(row.data()), kDim * sizeof(float));
  }
}

class Tree {
 public:
  Tree(fs::path folder, std::size_t megabytes) : folder_(std::move(folder)), rows_(megabytes * 400'000 / (kDim * 4)) {
    fs::create_directories(folder_);
    add_messages(database(), megabytes * 400'000);
    std::ofstream npy(vectors(), std::ios::binary);
    npy << std::string(127, ' ') << '\n';
    add_floats(npy, rows_);
    std::ofstream model(folder_ / "model", std::ios::binary);
    for (std::size_t i = 0; i < megabytes * 25'000; ++i) {
      const std::uint64_t bits = random_bits();
      model.write(reinterpret_cast<const char*>(&bits), sizeof bits);
    }
  }

  const fs::path& folder() const { return folder_; }
  void append() const {
    add_messages(database(), 350'000);
    std::ofstream npy(vectors(), std::ios::binary | std::ios::app);
    add_floats(npy, rows_ / 100);
  }
  void rewrite() const {
    std::fstream npy(vectors(), std::ios::in | std::ios::out | std::ios::binary);
    for (std::size_t i = 0; i < rows_ / 200; ++i) {
      npy.seekp(static_cast<std::streamoff>(128 + random_bits() % rows_ * kDim * sizeof(float)));
      add_floats(npy, 1);
    }
  }

 private:
  fs::path database() const { return folder_ / "conversations.sqlite"; }
  fs::path vectors() const { return folder_ / "vectors.npy"; }

  fs::path folder_;
  std::size_t rows_;
};

class File : public backup::Content {
 public:
  explicit File(const fs::path& path)
      : path_(path), fd_(io::open_file(path, O_RDONLY)), size_(io::file_size(fd_.get(), path)) {}
  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    io::pread_exact(fd_.get(), into.data(), into.size(), offset, path_);
  }

 private:
  fs::path path_;
  io::UniqueFd fd_;
  std::uint64_t size_;
};

backup::Snapshot back_up(backup::Repository& repository, const fs::path& tree) {
  const auto writer = repository.begin(now(), no_progress());
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(tree))
    if (entry.is_regular_file() && !entry.path().string().ends_with("-shm")) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) throw_errno("stat", path);
    backup::Entry entry;
    entry.path = path.lexically_relative(tree).generic_string();
    std::replace(entry.path.begin(), entry.path.end(), '/', '-');
    entry.mode = status.st_mode & 07777U;
    entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
    entry.state =
        fmt::format("{} {} {}.{}", status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    if (writer->keep(entry)) continue;
    File content(path);
    writer->put(entry, &content);
  }
  return writer->commit();
}

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t sum = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) sum += entry.file_size();
  return sum;
}

template <typename Act>
void measure(const std::string& step, const std::string& program, const fs::path& grows, int who, Act act) {
  ::sync();
  const std::uint64_t before = bytes_in(grows);
  const double cpu = cpu_seconds(who);
  const auto start = std::chrono::steady_clock::now();
  act();
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  rusage usage{};
  ::getrusage(who, &usage);
  fmt::print(
      "{{\"step\":\"{}\",\"program\":\"{}\",\"seconds\":{:.4f},\"cpu_seconds\":{:.4f},\"added_bytes\":{},"
      "\"peak_kib\":{}}}\n",
      step, program, wall, cpu_seconds(who) - cpu, bytes_in(grows) - before, usage.ru_maxrss);
  std::fflush(stdout);
}

void run(const std::string& command) {
  if (const int status = std::system((command + " >/dev/null").c_str()); status != 0)
    throw Error(Errc::failed, fmt::format("status {}: {}", status, command));
}

class Bench {
 public:
  Bench(const fs::path& base, const fs::path& tree, bool with_restic)
      : base_(base), tree_(tree), with_restic_(with_restic), repository_(base / "reef", options()) {
    fs::create_directory(base_ / "reef");
    fs::create_directory(base_ / "restic");
    if (!with_restic_) return;
    ::setenv("RESTIC_PASSWORD", "x", 1);
    ::setenv("RESTIC_REPOSITORY", (base_ / "restic").c_str(), 1);
    ::setenv("RESTIC_CACHE_DIR", (base_ / "cache").c_str(), 1);
    run("restic init -q --repository-version 2");
  }

  void back_up(const std::string& step) {
    run(fmt::format("find {} -type f -exec cat {{}} +", tree_.string()));  // the same page cache for both
    measure(step, "reef", base_ / "reef", RUSAGE_SELF, [&] { newest_ = ::back_up(repository_, tree_).id; });
    restic(step, fmt::format("cd {} && restic backup -q .", tree_.string()));
  }
  void verify() {
    measure("verify", "reef", base_ / "reef", RUSAGE_SELF, [&] {
      if (!repository_.verify({}, no_progress()).faults.empty()) throw Error(Errc::corrupt, "faults were found");
    });
    restic("verify", "restic check -q --read-data");
  }
  void restore() {
    measure("restore", "reef", base_ / "reef", RUSAGE_SELF, [&] {
      backup::TargetFolder target(base_ / "back", {.threads = 2});
      repository_.read(newest_, {}, target, no_progress());
      target.finish();
    });
    restic("restore", fmt::format("restic restore -q latest --target {}", (base_ / "back-restic").string()));
    run(fmt::format("diff -r -x '*-shm' {} {}", tree_.string(), (base_ / "back").string()));
  }

 private:
  backup::DestinationOptions options() const {
    backup::DestinationOptions made;
    made.tree = tree_;
    return made;
  }
  void restic(const std::string& step, const std::string& command) {
    if (with_restic_) measure(step, "restic", base_ / "restic", RUSAGE_CHILDREN, [&] { run(command); });
  }

  fs::path base_;
  fs::path tree_;
  bool with_restic_;
  backup::Repository repository_;
  std::string newest_;
};

void many_files(const fs::path& base, std::size_t megabytes, bool with_restic) {
  for (std::size_t i = 0; i < megabytes * 500; ++i) {
    const fs::path folder = base / "tree" / std::to_string(i % 100);
    if (i < 100) fs::create_directories(folder);
    std::ofstream(folder / std::to_string(i)) << prose(1000 + random_bits() % 2000);
  }
  Bench bench(base, base / "tree", with_restic);
  bench.back_up("first");
  bench.back_up("unchanged");
  std::ofstream(base / "tree" / "7" / "7") << "changed";
  bench.back_up("one changed");
  bench.verify();
}

void large_files(const fs::path& base, std::size_t megabytes, bool with_restic) {
  const Tree tree(base / "tree", megabytes);
  Bench bench(base, tree.folder(), with_restic);
  bench.back_up("first");
  bench.back_up("unchanged");
  tree.append();
  bench.back_up("appended");
  tree.rewrite();
  bench.back_up("rewritten");
  bench.verify();
  bench.restore();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    fmt::print(stderr, "usage: bench_block_store FOLDER MB [files] [restic]\n");
    return 2;
  }
  const fs::path base = argv[1];
  if (!fs::create_directory(base)) throw Error(Errc::usage, fmt::format("{} is there already", base.string()));
  const std::vector<std::string> words(argv + 3, argv + argc);
  const auto has = [&](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  const std::size_t megabytes = std::stoul(argv[2]);
  if (has("files"))
    many_files(base, megabytes, has("restic"));
  else
    large_files(base, megabytes, has("restic"));
  fs::remove_all(base);
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "bench_block_store: {}\n", error.what());
  return 1;
}
