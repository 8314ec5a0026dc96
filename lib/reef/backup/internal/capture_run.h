#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reef/backup/capture.h"
#include "reef/backup/internal/source_content.h"
#include "reef/core/error.h"
#include "reef/io/sqlite_capture.h"
#include "reef/io/unique_handle.h"

namespace reef::backup::internal {

/// A folder that is open.
struct Folder {
  int fd = -1;
  std::string path;  ///< relative to the tree; "" for the tree itself

  std::string path_of(const std::string& name) const { return path.empty() ? name : path + '/' + name; }
};

/// A name in a folder, and what it was when it was looked at.
struct Item {
  std::string name;
  struct stat status {};
  std::int64_t before_ns = 0;  ///< file_clock_ns() before the look
};

/// A file that was opened; `item` is of its descriptor.
struct OpenItem {
  Item item;
  io::UniqueFd fd;
  int error = 0;  ///< why there is none: as errno
};
OpenItem open_item(const Folder& folder, const std::string& name);

enum class Outcome : std::uint8_t { put, changed, failed };

/// One capture: puts entries, and keeps the report. What walks over folders (capture.cpp) and what knows the files that
/// belong together (store_files.h) both speak to it.
class CaptureRun {
 public:
  CaptureRun(const tree::Tree& tree, int tier, SnapshotWriter& writer, const CaptureOptions& options,
             Progress& progress)
      : tree_(tree), tier_(tier), writer_(writer), options_(options), progress_(progress) {}

  int tier() const { return tier_; }
  CaptureReport& report() { return report_; }

  void put_folder(const std::string& path, const struct stat& status, const std::string& target);
  void put_link(const Folder& folder, const Item& item, const std::string& target);
  /// Another name of `first`, which was put.
  void put_hard_link(const Folder& folder, const Item& item, const std::string& first);
  /// A file that is taken as it lies. False where it is not in the snapshot.
  bool put_plain(const Folder& folder, const Item& item) { return put_bytes(folder, item, true); }
  /// One that may be a database; `companions` are its log and journal, which are put as well where it is none, or
  /// damaged.
  void put_database(const Folder& folder, const Item& item, const std::vector<Item>& companions);
  /// A database that is open already; `item` was looked at before. Changed where it was read as it lay, and somebody
  /// opened and changed it: it is to be opened anew, not at rest.
  Outcome put_captured(const Folder& folder, const Item& item, io::SqliteCapture& capture);
  /// The first rows of a file.
  Outcome put_rows(const Folder& folder, OpenItem file, std::uint64_t rows, std::uint64_t row_bytes, bool unchanging);
  /// A file that nobody writes to, by a descriptor that may have outlived its name.
  Outcome put_open(const Folder& folder, OpenItem file);

  /// Throws as SqliteCapture() does.
  std::unique_ptr<io::SqliteCapture> open_database(const Folder& folder, const std::string& name, bool may_rest) const;

  /// What the snapshot does not hold as it should: named in the report, and told to the writer.
  void damage(const std::string& path, const Error& error);
  void note(const std::string& path, std::string what, std::string hint);

 private:
  std::string shown(const std::string& path) const;
  static Entry entry_of(const std::string& path, const Item& item, EntryType type);
  bool keep(const Entry& entry, const Item& item);
  Outcome put_content(Entry entry, const Item& item, SourceContent& content);
  void count(const std::string& path, const Item& item);
  bool put_bytes(const Folder& folder, const Item& item, bool vouched);
  void put_damaged(const Folder& folder, const Item& item, const std::vector<Item>& companions, const Error& error);

  const tree::Tree& tree_;
  int tier_;
  SnapshotWriter& writer_;
  const CaptureOptions& options_;
  Progress& progress_;
  CaptureReport report_;
  std::map<std::pair<dev_t, ino_t>, std::string> several_names_;  ///< the first one of each such file
};

/// Whether it is a regular file that begins as a SQLite database does; false where it cannot be read.
bool is_sqlite_file(const Folder& folder, const std::string& name);

}  // namespace reef::backup::internal
