#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/vector/store.h"
#include "sample.h"
#include "support/temp_dir.h"

namespace reef::test {

/// A store in a folder of its own, with vectors that tests can make again: row i of unit_rows(…, 1), or of those given.
class SampleStore {
 public:
  static constexpr std::size_t kDim = 24;
  static constexpr const char* kDigest = "aaaaaaaaaaaaaaaaaaaaaaaa";

  SampleStore() : SampleStore(unit_rows(5000, kDim, 1)) {}
  explicit SampleStore(std::vector<float> values)
      : metadata_(dir_ / "metadata.sqlite", io::OpenMode::create), values_(std::move(values)) {
    metadata_.execute(std::string(vector::kStoreSchema) + vector::kIndexSchema);
  }

  const std::filesystem::path& folder() const { return dir_.path(); }
  std::filesystem::path operator/(const std::string& name) const { return dir_ / name; }
  io::Database& metadata() { return metadata_; }
  const std::vector<float>& values() const { return values_; }

  /// The next `count` rows, committed and published as a run does it.
  void add(std::size_t count) {
    vector::StoreWriter writer(folder(), metadata_);
    writer.use_model("mini", kDigest, kDim);
    append(writer, count);
    commit(writer);
    writer.publish();
  }

  /// The next `count` rows, appended and not committed.
  std::uint64_t append(vector::StoreWriter& writer, std::size_t count) {
    const std::size_t first = writer.state().rows_total;
    return writer.append(std::span<const float>(values_).subspan(first * kDim, count * kDim));
  }

  void commit(vector::StoreWriter& writer) {
    io::Transaction transaction(metadata_);
    writer.commit();
    transaction.commit();
  }

  vector::StoreReader reader() { return {folder(), metadata_}; }

  /// Fails the test unless each of the first `rows` rows is found by asking for itself.
  bool answers(std::uint64_t rows) {
    vector::StoreReader store = reader();
    if (store.state().rows_total != rows) return false;
    for (std::uint64_t i = 0; i < rows; ++i) {
      const auto hits = store.search(row_of(values_, kDim, i), 1);
      if (hits.size() != 1 || hits.front().row != i) return false;
    }
    return true;
  }

  /// "file: what; next step" of every fault whose mends_itself is as asked; all of them when not asked.
  std::vector<std::string> faults(std::optional<bool> mends_itself = std::nullopt) {
    std::vector<std::string> found;
    for (const vector::StoreFault& fault : vector::verify_store(folder(), metadata_)) {
      if (mends_itself && fault.mends_itself != *mends_itself) continue;
      found.push_back(std::filesystem::path(fault.file).filename().string() + ": " + fault.what + "; " +
                      fault.next_step);
    }
    return found;
  }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("metadata.sqlite")) names.insert(name);
    }
    return names;
  }

 private:
  TempDir dir_;
  io::Database metadata_;
  std::vector<float> values_;
};

}  // namespace reef::test
