#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reef/backup/internal/capture_run.h"

namespace reef::backup::internal {

/// Files of a folder that say something only together with its database, which is put before them.
class StoreFiles {
 public:
  virtual ~StoreFiles() = default;
  /// The name of the database, captured as of the commit to which the files belong.
  virtual const std::string& database() const = 0;
  /// False where the database is one as any other by now.
  virtual bool put_database(CaptureRun& run, const Folder& folder, const Item& item) = 0;
  /// What the database names and a listing of the folder may lack.
  virtual std::vector<Item> more() const { return {}; }
  /// False where the file is as any other.
  virtual bool put(CaptureRun& run, const Folder& folder, const Item& item) = 0;
};

/// metadata.sqlite with vectors.<g>.npy, codes.<g>.npy and index.<g>.bin in the readers' order: names and counts out of
/// a read transaction, then the files, of which no more is taken than it counts. The plain names are hard links to
/// those that it names; what it does not name is of another generation and left out. nullptr where the folder's
/// database cannot be read or is none of a vector store.
std::unique_ptr<StoreFiles> vector_store_in(const CaptureRun& run, const Folder& folder);

/// memories.sqlite with embeddings.npy, whose rows are numbered as the database numbers them. Left out where they were
/// numbered anew, or rows of it erased, each time that it was read: the next run makes it again. nullptr as above.
std::unique_ptr<StoreFiles> memory_store_in(const CaptureRun& run, const Folder& folder);

}  // namespace reef::backup::internal
