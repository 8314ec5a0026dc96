// Writes a folder as an archive of tier 3, and an archive into a folder, for tests/bench/archive.py:
//
//   bench_archive write FOLDER ARCHIVE [THREADS]
//   bench_archive extract ARCHIVE FOLDER [THREADS]
//   bench_archive verify ARCHIVE [THREADS]
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "reef/backup/archive_output.h"
#include "reef/backup/archive_reader.h"
#include "reef/backup/archive_writer.h"
#include "reef/backup/target_folder.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace {

namespace fs = std::filesystem;
using namespace reef;

class DiskContent : public backup::Content {
 public:
  explicit DiskContent(const fs::path& path)
      : path_(path), fd_(io::open_file(path, O_RDONLY)), size_(io::file_size(fd_.get(), path)) {}
  std::uint64_t size_bytes() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::uint8_t> into) const override {
    io::pread_exact(fd_.get(), into.data(), into.size(), offset, path_);
  }
  std::uint64_t next_data(std::uint64_t offset) const override {
    const off_t data = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    return data < 0 ? size_ : static_cast<std::uint64_t>(data);
  }
  int descriptor() const override { return fd_.get(); }

 private:
  fs::path path_;
  io::UniqueFd fd_;
  std::uint64_t size_;
};

void put(backup::Sink& sink, const fs::path& root, const std::string& path) {
  const fs::path file = path.empty() ? root : root / path;
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) throw_errno("stat", io::shown(file));
  backup::Entry entry;
  entry.path = path;
  entry.mode = status.st_mode & 07777U;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
  if (!S_ISDIR(status.st_mode)) {
    DiskContent content(file);
    return sink.put(entry, &content);
  }
  entry.type = backup::EntryType::folder;
  sink.put(entry, nullptr);
  std::vector<std::string> names;
  for (const auto& inner : fs::directory_iterator(file)) names.push_back(inner.path().filename());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) put(sink, root, path.empty() ? name : path + "/" + name);
}

int run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::string verb = words.empty() ? "" : words[0];
  const std::size_t paths = verb == "verify" ? 1 : 2;
  if ((verb != "write" && verb != "extract" && verb != "verify") || words.size() < paths + 1) {
    std::fputs("usage: bench_archive write FOLDER ARCHIVE | extract ARCHIVE FOLDER | verify ARCHIVE [THREADS]\n",
               stderr);
    return 2;
  }
  const auto threads = static_cast<unsigned>(words.size() > paths + 1 ? std::stoul(words[paths + 1]) : 0);
  if (verb == "write") {
    io::StagedFile file(words[2]);
    backup::FileOutput output(file.fd(), file.temporary_path());
    backup::ArchiveWriter writer(output, threads);
    put(writer, words[1], "");
    writer.finish();
    file.commit();
    return 0;
  }
  const io::UniqueFd fd = io::open_file(words[1], O_RDONLY);
  const backup::FileSource source(fd.get(), words[1]);
  const backup::ArchiveReader reader(source, threads);
  std::uint64_t bytes = 0;
  if (verb == "verify") return reader.verify(1, no_progress(), bytes).empty() ? 0 : 4;
  backup::TargetFolder target(words[2]);
  reader.read({}, target, no_progress());
  target.finish();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_archive: %s\n", error.what());
    return 1;
  }
}
