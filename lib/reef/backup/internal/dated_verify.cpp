#include "reef/backup/internal/dated_verify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include "reef/backup/internal/dated_files.h"
#include "reef/backup/internal/file_content.h"
#include "reef/backup/internal/folder_walk.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/share_work.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

using io::UniqueFd;

constexpr std::size_t kMostPaths = 100;
constexpr std::uint64_t kMostSumsBytes = std::uint64_t{4} << 30;

/// A file on the drive, with the names under which snapshots have it.
struct File {
  std::uint64_t size = 0;
  io::Sha256Digest digest{};
  std::vector<std::pair<std::size_t, std::string>> names;  ///< snapshot, and path in its tree
  std::string fault;
};

struct Checked {
  std::string id;
  std::set<std::string> damaged;
  bool faulty = false;
};

class Verifier {
 public:
  Verifier(const fs::path& destination, const std::vector<std::string>& ids, const VerifyOptions& options,
           Progress& progress)
      : destination_(destination), options_(options), progress_(progress) {
    for (const std::string& id : ids) snapshots_.push_back({id, {}, false});
  }

  VerifyReport run() {
    for (std::size_t i = 0; i < snapshots_.size(); ++i) survey(i);
    choose();
    read();
    for (const File& file : files_)
      if (!file.fault.empty()) tell(file);
    forget_removed();
    for (std::size_t i = 0; i < snapshots_.size(); ++i) note(i);
    return std::move(report_);
  }

 private:
  fs::path folder(std::size_t snapshot) const { return destination_ / snapshots_[snapshot].id; }

  void tell(std::size_t snapshot, const std::string& file, const std::string& what, const std::string& path) {
    Checked& checked = snapshots_[snapshot];
    Fault fault{fmt::format("{}/{}", checked.id, file), what, {checked.id}, {}};
    if (!path.empty()) {
      fault.paths.push_back(path);
      checked.damaged.insert(path);
    }
    checked.faulty = true;
    report_.faults.push_back(std::move(fault));
  }

  void tell(const File& file) {
    const auto& [first, path] = file.names.front();
    Fault fault{fmt::format("{}/{}/{}", snapshots_[first].id, kTreeFolder, path), file.fault, {}, {}};
    std::set<std::string> seen;
    for (const auto& [snapshot, name] : file.names) {
      Checked& checked = snapshots_[snapshot];
      checked.faulty = true;
      checked.damaged.insert(name);
      if (fault.snapshots.empty() || fault.snapshots.back() != checked.id) fault.snapshots.push_back(checked.id);
      if (seen.insert(name).second && fault.paths.size() < kMostPaths) fault.paths.push_back(name);
    }
    report_.faults.push_back(std::move(fault));
  }

  /// Reads a snapshot's lists, and looks at each name that it should have.
  void survey(std::size_t snapshot) {
    check_interrupt();
    std::vector<TreeRecord> records;
    const char* part = kSummary;
    try {
      read_summary(folder(snapshot));
      part = kTreeList;
      records = read_records(folder(snapshot));
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
      return tell(snapshot, part, error.what(), {});
    }
    check_sums(snapshot, records);
    UniqueFd root(::open((folder(snapshot) / kTreeFolder).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
      throw_errno("open", io::shown(folder(snapshot) / kTreeFolder));
    if (!root) return tell(snapshot, kTreeFolder, "the folder is missing", {});
    const bool symlinks = has_symlinks(root.get(), folder(snapshot));
    FolderWalk walk(std::move(root));
    for (const TreeRecord& record : records) {
      if (record.entry.path.empty() || (record.entry.type == EntryType::link && !symlinks)) continue;
      look_at(snapshot, record, walk);
    }
  }

  /// sha256sum must find what is found here: the text is known byte for byte.
  void check_sums(std::size_t snapshot, const std::vector<TreeRecord>& records) {
    std::string found;
    try {
      found = io::read_file(folder(snapshot) / kSums, kMostSumsBytes);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      return tell(snapshot, kSums, error.what(), {});
    }
    const std::string summary = io::read_file(folder(snapshot) / kSummary, kMostSumsBytes);
    const std::string list = io::read_file(folder(snapshot) / kTreeList, kMostSumsBytes);
    if (found != sums_of(records, list, summary))
      tell(snapshot, kSums, fmt::format("is damaged: it is not what {} says", kTreeList), {});
  }

  void look_at(std::size_t snapshot, const TreeRecord& record, FolderWalk& walk) {
    const Entry& entry = record.entry;
    const auto names = names_of(entry.path);
    const int parent = names ? walk.parent_of(*names) : -1;
    struct stat status {};
    const std::string shown = fmt::format("{}/{}", kTreeFolder, entry.path);
    if (parent < 0 || ::fstatat(parent, names->back().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return tell(snapshot, shown, "is missing", entry.path);
    constexpr std::array<mode_t, 3> kTypes{S_IFREG, S_IFDIR, S_IFLNK};
    if ((status.st_mode & S_IFMT) != kTypes[static_cast<std::size_t>(entry.type)])
      return tell(snapshot, shown, "is of another type", entry.path);
    if (entry.type == EntryType::link && leads_to(parent, names->back()) != entry.link_target)
      return tell(snapshot, shown, "leads elsewhere", entry.path);
    if (entry.type == EntryType::file) add_file(snapshot, record, status);
  }

  static std::string leads_to(int parent, const std::string& name) {
    std::array<char, PATH_MAX> target{};
    const ssize_t count = ::readlinkat(parent, name.c_str(), target.data(), target.size());
    return count < 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(count));
  }

  void add_file(std::size_t snapshot, const TreeRecord& record, const struct stat& status) {
    const auto [place, is_new] = by_inode_.try_emplace(
        std::tuple(status.st_dev, status.st_ino, record.digest, record.entry.size_bytes), files_.size());
    if (is_new) files_.push_back({record.entry.size_bytes, record.digest, {}, {}});
    files_[place->second].names.emplace_back(snapshot, record.entry.path);
  }

  /// All files, or as many of them, chosen by chance, as make up the part that was asked for.
  void choose() {
    chosen_.resize(files_.size());
    for (std::size_t i = 0; i < chosen_.size(); ++i) chosen_[i] = i;
    std::uint64_t total = 0;
    for (const File& file : files_) total += file.size;
    if (options_.sample < 1) {
      std::shuffle(chosen_.begin(), chosen_.end(), std::mt19937_64(std::random_device()()));
      const double wanted = static_cast<double>(total) * options_.sample;
      std::uint64_t bytes = 0;
      std::size_t count = 0;
      for (; count < chosen_.size() && static_cast<double>(bytes) < wanted; ++count)
        bytes += files_[chosen_[count]].size;
      chosen_.resize(count);
      total = bytes;
    }
    // The largest first, so that no thread is left alone with one at the end.
    std::sort(chosen_.begin(), chosen_.end(), [this](auto a, auto b) { return files_[a].size > files_[b].size; });
    progress_.begin("verifying", total, ProgressUnit::bytes);
  }

  void read() {
    const unsigned threads = options_.threads != 0 ? options_.threads : std::thread::hardware_concurrency();
    std::atomic<std::uint64_t> done{0};
    std::uint64_t told = 0;
    const auto report = [&] {
      const std::uint64_t now = done;
      progress_.advance(now - std::exchange(told, now));
    };
    share_work(
        threads, chosen_.size(),
        [&](std::size_t worker, std::size_t item) {
          check(files_[chosen_[item]], [&](std::uint64_t bytes) {
            done += bytes;
            if (worker == 0) report();
          });
        },
        report);
    progress_.end();
    report_.files = chosen_.size();
    report_.bytes = done;
  }

  void check(File& file, const std::function<void(std::uint64_t)>& on_bytes) const {
    const auto& [snapshot, path] = file.names.front();
    const fs::path shown = folder(snapshot) / kTreeFolder / path;
    try {
      const UniqueFd fd = io::open_file(shown, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      const std::uint64_t size = io::file_size(fd.get(), shown);
      if (size != file.size) {
        file.fault = fmt::format("has {} bytes, and had {}", size, file.size);
        return;
      }
      const io::Sha256Digest found = digest_of_file(fd.get(), size, shown, on_bytes);
      if (found != file.digest)
        file.fault = fmt::format("sha256 is {}, and was {}", io::to_hex(found), io::to_hex(file.digest));
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      file.fault = error.what();
    }
  }

  /// Readers hold no lock: what 'prune' removed meanwhile is not damaged.
  void forget_removed() {
    std::set<std::string> removed;
    std::error_code error;
    for (const Checked& checked : snapshots_)
      if (!fs::exists(destination_ / checked.id, error) && !error) removed.insert(checked.id);
    std::erase_if(snapshots_, [&](const Checked& checked) { return removed.contains(checked.id); });
    for (Fault& fault : report_.faults)
      std::erase_if(fault.snapshots, [&](const std::string& id) { return removed.contains(id); });
    std::erase_if(report_.faults, [](const Fault& fault) { return fault.snapshots.empty(); });
    report_.snapshots = snapshots_.size();
  }

  /// What was found stays beside the snapshot, where it may: a medium that is only read is verified all the same.
  void note(std::size_t index) const {
    const Checked& checked = snapshots_[index];
    CheckNote note = read_note(destination_, checked.id);
    const Time time = now();
    if (checked.faulty) {
      note.verified.reset();
      note.damaged = time;
      if (options_.sample >= 1) note.paths.clear();
      note.paths.insert(checked.damaged.begin(), checked.damaged.end());
    } else if (options_.sample >= 1) {
      note = {time, {}, {}};
    } else {
      return;
    }
    try {
      write_note(destination_, checked.id, note);
    } catch (const Error& error) {
      log_step("{}: what was found is not noted: {}", checked.id, error.what());
    }
  }

  const fs::path& destination_;
  const VerifyOptions& options_;
  Progress& progress_;
  std::vector<Checked> snapshots_;
  std::vector<File> files_;
  std::map<std::tuple<dev_t, ino_t, io::Sha256Digest, std::uint64_t>, std::size_t> by_inode_;
  std::vector<std::size_t> chosen_;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify_dated(const fs::path& destination, const std::vector<std::string>& ids,
                          const VerifyOptions& options, Progress& progress) {
  return Verifier(destination, ids, options, progress).run();
}

}  // namespace reef::backup::internal
