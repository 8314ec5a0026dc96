#include "reef/model/duplicates.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "reef/core/error.h"
#include "reef/core/share_work.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/model/internal/tensor_reader.h"
#include "reef/model/library.h"

namespace reef::model {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kSampleBytes = 4096;

/// A file of a model.
struct Copy {
  const ListEntry* model = nullptr;
  const ManifestFile* entry = nullptr;

  std::filesystem::path path() const { return model->folder / entry->path; }
};

/// Files of the same bytes, whose tensors are looked at once.
struct Content {
  std::vector<Copy> copies;
  std::optional<WeightFile> weights;
  std::unique_ptr<io::DirectFile> opened;  ///< the first of the copies
};

/// A tensor of a content.
struct Item {
  Content* content = nullptr;
  const WeightTensor* tensor = nullptr;
  std::string sha256;        ///< empty: not known yet
  std::uint64_t sample = 0;  ///< of its bytes; equal where they are
};

internal::ByteRange range_of(const Item& item) {
  const std::uint64_t begin = item.content->weights->data_offset + item.tensor->begin;
  return {begin, begin + item.tensor->bytes()};
}

/// Of the first, middle and last bytes: tells apart nearly all tensors that differ.
std::uint64_t sample_of(const Item& item) {
  const std::filesystem::path path = item.content->copies.front().path();
  const io::UniqueFd file = io::open_file(path, O_RDONLY);
  const internal::ByteRange range = range_of(item);
  const std::size_t count = std::min<std::uint64_t>(kSampleBytes, range.end - range.begin);
  std::vector<std::uint8_t> bytes(3 * count);
  const std::uint64_t last = range.end - count;
  io::pread_exact(file.get(), bytes.data(), count, range.begin, path);
  io::pread_exact(file.get(), bytes.data() + count, count, range.begin + (last - range.begin) / 2, path);
  io::pread_exact(file.get(), bytes.data() + 2 * count, count, last, path);
  return io::xxh3(bytes);
}

/// Keeps the items that share a key with another one.
template <typename KeyOf>
void keep_shared(std::vector<Item*>& items, KeyOf key_of) {
  std::map<decltype(key_of(*items.front())), std::size_t> counts;
  for (const Item* item : items) ++counts[key_of(*item)];
  std::erase_if(items, [&](const Item* item) { return counts[key_of(*item)] == 1; });
}

std::uint64_t size_of(const Item& item) { return item.tensor->bytes(); }

class Search {
 public:
  Search(const DuplicatesOptions& options, Progress& progress) : options_(options), progress_(progress) {
    out_.min_bytes = options.min_bytes;
  }

  void add(const ListEntry& model) {
    if (!model.fault.empty()) return skip(model, model.fault);
    std::map<std::string, WeightFile> weights;
    try {
      for (const ManifestFile& file : model.manifest.files)
        if (is_weight_file(file.path)) weights.emplace(file.path, read_weight_file(model.folder, file.path));
    } catch (const Error& e) {
      if (e.code() == Errc::interrupted) throw;
      return skip(model, e.what());
    }
    ++out_.models;
    for (const ManifestFile& file : model.manifest.files) {
      Content& content = contents_[{file.sha256, file.bytes}];
      content.copies.push_back({&model, &file});
      const auto header = weights.find(file.path);
      if (header == weights.end()) continue;
      for (const WeightTensor& tensor : header->second.tensors)
        if (is_large_enough(tensor.bytes())) ++out_.tensors;
      if (!content.weights) content.weights = std::move(header->second);
    }
  }

  DuplicatesReport run() {
    group_files();
    collect_tensors();
    if (!items_.empty()) find_equal_tensors();
    for (auto* groups : {&out_.file_groups, &out_.tensor_groups}) {
      for (DuplicateGroup& group : *groups) {
        std::sort(group.copies.begin(), group.copies.end(), [](const DuplicateCopy& a, const DuplicateCopy& b) {
          return std::tie(a.kind, a.model, a.file, a.tensor) < std::tie(b.kind, b.model, b.file, b.tensor);
        });
      }
      std::stable_sort(groups->begin(), groups->end(), [](const DuplicateGroup& a, const DuplicateGroup& b) {
        return std::tie(b.saved_bytes, a.copies.front().tensor) < std::tie(a.saved_bytes, b.copies.front().tensor);
      });
    }
    out_.bytes_read = read_;
    return std::move(out_);
  }

 private:
  void skip(const ListEntry& model, const std::string& why) { out_.skipped.push_back({model.name, model.kind, why}); }

  bool is_large_enough(std::uint64_t bytes) const { return bytes >= std::max<std::uint64_t>(1, options_.min_bytes); }

  DuplicateCopy described(const Copy& copy, const std::string& tensor) const {
    return {copy.model->name, copy.model->kind, personas_of(options_.bindings, copy.model->manifest), copy.entry->path,
            tensor};
  }

  void group_files() {
    for (const auto& [key, content] : contents_) {
      const auto& [sha256, bytes] = key;
      if (content.copies.size() == 1 || !is_large_enough(bytes)) continue;
      DuplicateGroup& group = out_.file_groups.emplace_back();
      group.sha256 = sha256;
      group.bytes = bytes;
      group.saved_bytes = (content.copies.size() - 1) * bytes;
      for (const Copy& copy : content.copies) group.copies.push_back(described(copy, ""));
    }
  }

  void collect_tensors() {
    for (auto& [key, content] : contents_) {
      if (!content.weights) continue;
      std::map<std::string_view, std::string_view> digests;
      for (const Copy& copy : content.copies)
        for (const TensorDigest& digest : copy.entry->tensors) digests.emplace(digest.name, digest.sha256);
      for (const WeightTensor& tensor : content.weights->tensors) {
        if (!is_large_enough(tensor.bytes())) continue;
        const auto digest = digests.find(tensor.name);
        all_.push_back({&content, &tensor, digest == digests.end() ? "" : std::string(digest->second)});
        items_.push_back(&all_.back());
      }
    }
  }

  void find_equal_tensors() {
    keep_shared(items_, size_of);
    // What has no digest must be read, and most of it is like nothing else.
    std::set<std::uint64_t> without_digest;
    for (const Item* item : items_)
      if (item->sha256.empty()) without_digest.insert(size_of(*item));
    share_work(
        options_.threads, items_.size(),
        [&](std::size_t, std::size_t i) {
          if (without_digest.contains(size_of(*items_[i]))) items_[i]->sample = sample_of(*items_[i]);
        },
        [] {});
    keep_shared(items_, [](const Item& item) { return std::pair(size_of(item), item.sample); });
    hash();
    keep_shared(items_, [](const Item& item) { return std::pair(size_of(item), item.sha256); });
    group_tensors();
  }

  void hash() {
    std::vector<Item*> unknown;
    std::uint64_t total = 0;
    for (Item* item : items_) {
      if (!item->sha256.empty()) continue;
      unknown.push_back(item);
      total += size_of(*item);
      auto& opened = item->content->opened;
      if (opened == nullptr) opened = std::make_unique<io::DirectFile>(item->content->copies.front().path());
    }
    // The largest first: no thread shall begin one when the others are done.
    std::stable_sort(unknown.begin(), unknown.end(),
                     [](const Item* a, const Item* b) { return size_of(*a) > size_of(*b); });
    std::uint64_t told = 0;
    progress_.begin("reading", total, ProgressUnit::bytes);
    share_work(
        options_.threads, unknown.size(), [&](std::size_t, std::size_t i) { hash(*unknown[i]); },
        [&] {
          const std::uint64_t now = read_;
          progress_.advance(now - told);
          told = now;
        });
    progress_.end();
  }

  void hash(Item& item) {
    const internal::ByteRange range = range_of(item);
    internal::RangeReader reader(*item.content->opened, range);
    io::Sha256 hash;
    for (std::uint64_t at = range.begin; at < range.end;) {
      const std::size_t count = std::min<std::uint64_t>(kBlockBytes, range.end - at);
      hash.update(reader.take(count));
      at += count;
      read_ += count;
    }
    item.sha256 = io::to_hex(hash.finish());
  }

  void group_tensors() {
    std::map<std::pair<std::uint64_t, std::string_view>, std::vector<const Item*>> groups;
    for (const Item* item : items_) groups[{size_of(*item), item->sha256}].push_back(item);
    for (const auto& [key, items] : groups) {
      DuplicateGroup& group = out_.tensor_groups.emplace_back();
      group.sha256 = key.second;
      group.bytes = key.first;
      group.saved_bytes = (items.size() - 1) * key.first;
      group.dtype = items.front()->tensor->dtype;
      group.shape = items.front()->tensor->shape;
      for (const Item* item : items)
        for (const Copy& copy : item->content->copies) group.copies.push_back(described(copy, item->tensor->name));
    }
  }

  const DuplicatesOptions& options_;
  Progress& progress_;
  std::map<std::pair<std::string, std::uint64_t>, Content> contents_;
  std::deque<Item> all_;
  std::vector<Item*> items_;  ///< those that may have an equal
  std::atomic<std::uint64_t> read_{0};
  DuplicatesReport out_;
};

}  // namespace

std::uint64_t DuplicatesReport::saved_bytes() const {
  std::uint64_t bytes = 0;
  for (const DuplicateGroup& group : file_groups) bytes += group.saved_bytes;
  for (const DuplicateGroup& group : tensor_groups) bytes += group.saved_bytes;
  return bytes;
}

DuplicatesReport find_duplicates(const tree::Tree& tree, const DuplicatesOptions& options, Progress& progress) {
  const std::vector<ListEntry> models = select_models(tree, options.names);
  Search search(options, progress);
  std::set<std::filesystem::path> added;  // a name may be given twice
  for (const ListEntry& model : models)
    if (added.insert(model.folder).second) search.add(model);
  return search.run();
}

}  // namespace reef::model
