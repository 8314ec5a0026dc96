// How long a backup into dated folders takes beside `cp -a` and `sha256sum` of the copy, on the same tree in the same
// run. Prints one JSON object a line; "seconds" and "cpu_seconds" are medians, "ratio" is of the seconds. Ours is
// durable when it ends, the peer's is not. Case "cold" gives the tree's pages back to the system before each run.
//
//   bench_dated_folders [FOLDER [MB [ROUNDS]]]    a folder on the drive to be measured ($TMPDIR), 1000 MB, 3 rounds
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../support/folder_capture.h"
#include "../support/temp_dir.h"
#include "reef/backup/dated_folders.h"
#include "reef/core/error.h"

namespace {

using namespace reef;
namespace fs = std::filesystem;

void write_random(const fs::path& path, std::uint64_t bytes, std::mt19937_64& random) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  std::vector<std::uint64_t> block(std::size_t{1} << 14);
  for (std::uint64_t left = bytes; left > 0;) {
    for (std::uint64_t& word : block) word = random();
    const std::uint64_t count = std::min<std::uint64_t>(left, block.size() * sizeof(std::uint64_t));
    file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(count));
    left -= count;
  }
}

/// Two databases, two files of vectors and 2,000 documents, in the shares that a tree has.
void make_tree(const fs::path& tree, std::uint64_t bytes) {
  std::mt19937_64 random(1);
  write_random(tree / "data/conversations/conversations.sqlite", bytes / 4, random);
  write_random(tree / "vectors/shared/metadata.sqlite", bytes / 10, random);
  write_random(tree / "vectors/shared/vectors.npy", bytes / 2, random);
  write_random(tree / "data/memories/alice/embeddings.npy", bytes / 20, random);
  constexpr int kDocuments = 2000;
  for (int i = 0; i < kDocuments; ++i)
    write_random(tree / fmt::format("data/documents/raw/{:02x}/{}", i % 256, i), bytes / 10 / kDocuments, random);
}

void forget_pages(const fs::path& tree) {
  for (const auto& entry : fs::recursive_directory_iterator(tree)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    [[maybe_unused]] const int ignored = ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

double cpu_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    struct rusage usage {};
    ::getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime})
      sum += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }
  return sum;
}

struct Figures {
  std::vector<double> seconds, cpu;
  void measure(const std::function<void()>& call) {
    const double cpu_before = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    call();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    cpu.push_back(cpu_seconds() - cpu_before);
  }
  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
};

class Bench {
 public:
  Bench(const fs::path& folder, int rounds) : folder_(folder), tree_(folder / "tree"), rounds_(rounds) {}

  void run(std::uint64_t bytes) {
    make_tree(tree_, bytes);
    for (const bool cold : {false, true}) compare(cold);
  }

 private:
  void compare(bool cold) {
    Figures ours_first, ours_unchanged, ours_verify, peer_first, peer_check;
    for (int round = 0; round < rounds_; ++round) {
      fs::create_directory(folder_ / "ours");
      prepare(cold);
      ours_first.measure([&] { back_up("2026-11-30T04:15:00Z"); });
      prepare(cold);
      ours_unchanged.measure([&] { back_up("2026-12-01T04:15:00Z"); });
      if (!cold) ours_verify.measure([&] { verify(); });
      fs::remove_all(folder_ / "ours");
      prepare(cold);
      peer_first.measure(
          [&] { shell("cp -a tree peer && cd peer && find . -type f -print0 | xargs -0 sha256sum >../peer.sums"); });
      ::sync();
      if (!cold) peer_check.measure([&] { shell("cd peer && sha256sum --quiet -c ../peer.sums"); });
      fs::remove_all(folder_ / "peer");
    }
    const char* cache = cold ? "cold" : "warm";
    print("first", cache, ours_first, peer_first);
    print("unchanged", cache, ours_unchanged, peer_first);
    if (!cold) print("verify", cache, ours_verify, peer_check);
  }

  void prepare(bool cold) {
    ::sync();  // what the last one left to be written is not the next one's
    if (cold) forget_pages(tree_);
  }

  backup::DatedFolders store() const { return {folder_ / "ours", {tree_, {}, false, {}}}; }

  void back_up(const char* time) const {
    backup::DatedFolders folders = store();
    const auto writer = folders.begin(parse_time(time), no_progress());
    test::FolderCapture(tree_, *writer).run();
    writer->commit();
  }

  void verify() const {
    if (!store().verify({}, no_progress()).faults.empty()) throw Error(Errc::corrupt, "a backup is damaged");
  }

  void shell(const std::string& command) const {
    if (std::system(fmt::format("cd '{}' && {}", folder_.native(), command).c_str()) != 0)
      throw Error(Errc::failed, "the peer failed: " + command);
  }

  static void print(const char* what, const char* cache, const Figures& ours, const Figures& peer) {
    const double seconds = Figures::median(ours.seconds);
    const double peer_seconds = Figures::median(peer.seconds);
    fmt::print(
        "{{\"case\":\"{}\",\"cache\":\"{}\",\"seconds\":{:.4f},\"cpu_seconds\":{:.4f},\"peer_seconds\":{:.4f},"
        "\"peer_cpu_seconds\":{:.4f},\"ratio\":{:.3f}}}\n",
        what, cache, seconds, Figures::median(ours.cpu), peer_seconds, Figures::median(peer.cpu),
        seconds / peer_seconds);
    std::fflush(stdout);
  }

  fs::path folder_;
  fs::path tree_;
  int rounds_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 1) ::setenv("TMPDIR", argv[1], 1);
    const std::uint64_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1000;
    const int rounds = argc > 3 ? std::atoi(argv[3]) : 3;
    const test::TempDir dir;
    Bench(dir.path(), std::max(rounds, 1)).run(megabytes * 1'000'000);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_dated_folders: {}\n", error.what());
    return 1;
  }
}
