#include "reef/model/diff.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "reef/core/share_work.h"
#include "reef/io/checksum.h"
#include "reef/model/gguf.h"
#include "reef/model/internal/compare_elements.h"
#include "reef/model/internal/tensor_reader.h"
#include "reef/model/library.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

/// What one thread compares at a time: a large tensor is shared by all. A multiple of every element.
constexpr std::uint64_t kSegmentBytes = std::uint64_t{64} << 20;
constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

/// A tensor, and what the manifest says of its bytes.
struct Place {
  const WeightFile* file = nullptr;
  const WeightTensor* tensor = nullptr;
  const ManifestFile* entry = nullptr;
  const TensorDigest* digest = nullptr;  ///< nullptr: not recorded
};

/// The arrays of a GGUF file, such as its vocabulary, by digest: WeightFile says their length alone.
void digest_arrays(const fs::path& path, std::map<std::string, std::string>& metadata) {
  const GgufFile file(path);
  for (const auto& [key, value] : file.header().metadata) {
    const auto* array = std::get_if<GgufArray>(&value.value);
    if (array == nullptr) continue;
    const auto elements = file.file().bytes().subspan(array->begin, array->end - array->begin);
    metadata[key] = value.to_text() + " sha256 " + io::to_hex(io::sha256(elements));
  }
}

class Side {
 public:
  Side(const tree::Tree& tree, const std::string& name) : model_(find_model(tree, name)) {
    std::vector<std::string> paths;
    for (const ManifestFile& file : model_.manifest.files) paths.push_back(file.path);
    weights_ = read_weights(model_.folder, paths);
    for (const WeightFile& file : weights_) {
      const ManifestFile& entry = *model_.manifest.find(file.path);
      std::map<std::string_view, const TensorDigest*> digests;
      for (const TensorDigest& digest : entry.tensors) digests.emplace(digest.name, &digest);
      for (const WeightTensor& tensor : file.tensors) {
        const auto digest = digests.find(tensor.name);
        places_.emplace(tensor.name, Place{&file, &tensor, &entry, digest == digests.end() ? nullptr : digest->second});
      }
      for (const auto& [key, value] : file.metadata) metadata_.emplace(key, value);
      if (file.path.ends_with(".gguf")) digest_arrays(path(file.path), metadata_);
    }
  }

  const std::map<std::string_view, Place>& places() const { return places_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const Manifest& manifest() const { return model_.manifest; }
  fs::path path(const std::string& file) const { return model_.folder / file; }

  /// Opened once, for all threads.
  const io::DirectFile& open(const WeightFile& file) {
    auto& opened = opened_[file.path];
    if (opened == nullptr) opened = std::make_unique<io::DirectFile>(path(file.path));
    return *opened;
  }

 private:
  Installed model_;
  std::vector<WeightFile> weights_;
  std::map<std::string_view, Place> places_;  ///< the first of each name
  std::map<std::string, std::string> metadata_;
  std::map<std::string, std::unique_ptr<io::DirectFile>> opened_;
};

TensorForm form_of(const Place& place) {
  return {place.tensor->dtype, place.tensor->shape, place.tensor->elements, place.tensor->bytes()};
}

/// Runs on_a, on_b or on_both for the keys of two sorted maps, in their order.
template <typename Map, typename OnA, typename OnB, typename OnBoth>
void merge(const Map& a, const Map& b, OnA on_a, OnB on_b, OnBoth on_both) {
  auto x = a.begin(), y = b.begin();
  while (x != a.end() || y != b.end()) {
    if (y == b.end() || (x != a.end() && x->first < y->first)) {
      on_a(*x++);
    } else if (x == a.end() || y->first < x->first) {
      on_b(*y++);
    } else {
      on_both(*x++, *y++);
    }
  }
}

/// Two tensors of one form whose bytes are to be compared.
struct Pair {
  std::string_view name;
  Place a, b;
  const io::DirectFile* file_a = nullptr;
  const io::DirectFile* file_b = nullptr;
  internal::ElementDifferences differences{};

  internal::ByteRange range(const Place& place, std::uint64_t begin, std::uint64_t end) const {
    const std::uint64_t base = place.file->data_offset + place.tensor->begin;
    return {base + begin, base + end};
  }
};

class Comparison {
 public:
  Comparison(Side& a, Side& b, const DiffOptions& options, Progress& progress)
      : a_(a), b_(b), options_(options), progress_(progress) {}

  void run(ModelDiff& out) {
    merge(
        a_.places(), b_.places(),
        [&](const auto& a) {
          out.tensors.push_back({DifferenceKind::only_in_a, std::string(a.first), form_of(a.second), {}});
        },
        [&](const auto& b) {
          out.tensors.push_back({DifferenceKind::only_in_b, std::string(b.first), {}, form_of(b.second)});
        },
        [&](const auto& a, const auto& b) { match(std::string(a.first), a.second, b.second, out); });
    read(out);
    for (const Pair& pair : pairs_) {
      if (pair.differences.bytes == 0) {
        count_identical(pair.a, out);
      } else {
        add_content(pair, out);
      }
    }
    std::sort(out.tensors.begin(), out.tensors.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
  }

 private:
  struct Segment {
    Pair* pair = nullptr;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  static void count_identical(const Place& place, ModelDiff& out) {
    ++out.identical_tensors;
    out.identical_bytes += place.tensor->bytes();
  }

  void match(const std::string& name, const Place& a, const Place& b, ModelDiff& out) {
    if (a.tensor->dtype != b.tensor->dtype || a.tensor->shape != b.tensor->shape) {
      out.tensors.push_back({DifferenceKind::form, name, form_of(a), form_of(b)});
    } else if (a.tensor->bytes() == 0 || (!options_.read_all && is_known_equal(a, b))) {
      count_identical(a, out);
    } else {
      pairs_.push_back({a.tensor->name, a, b, &a_.open(*a.file), &b_.open(*b.file)});
    }
  }

  static bool is_known_equal(const Place& a, const Place& b) {
    if (a.entry->has_content_of(*b.entry)) return true;
    return a.digest != nullptr && b.digest != nullptr && a.digest->sha256 == b.digest->sha256;
  }

  void read(ModelDiff& out) {
    std::vector<Segment> segments;
    std::uint64_t total = 0;
    for (Pair& pair : pairs_) {
      const std::uint64_t bytes = pair.a.tensor->bytes();
      for (std::uint64_t at = 0; at < bytes; at += kSegmentBytes)
        segments.push_back({&pair, at, std::min(bytes, at + kSegmentBytes)});
      total += 2 * bytes;
    }
    std::uint64_t told = 0;
    const auto report = [&] {
      const std::uint64_t now = read_;
      progress_.advance(now - told);
      told = now;
    };
    progress_.begin("comparing", total, ProgressUnit::bytes);
    share_work(
        options_.threads, segments.size(), [&](std::size_t, std::size_t i) { compare(segments[i]); }, report);
    progress_.end();
    out.bytes_read = read_;
  }

  void compare(const Segment& segment) {
    Pair& pair = *segment.pair;
    const auto type = internal::element_type(pair.a.tensor->dtype);
    internal::RangeReader a(*pair.file_a, pair.range(pair.a, segment.begin, segment.end));
    internal::RangeReader b(*pair.file_b, pair.range(pair.b, segment.begin, segment.end));
    internal::ElementDifferences found;
    for (std::uint64_t at = segment.begin; at < segment.end;) {
      const std::size_t count = std::min<std::uint64_t>(kBlockBytes, segment.end - at);
      found.add(internal::compare_elements(a.take(count), b.take(count), type));
      at += count;
      read_ += 2 * count;
    }
    const std::lock_guard lock(mutex_);
    pair.differences.add(found);
  }

  static void add_content(const Pair& pair, ModelDiff& out) {
    const internal::ElementDifferences& found = pair.differences;
    TensorDifference& difference = out.tensors.emplace_back();
    difference.name = pair.name;
    difference.a = form_of(pair.a);
    difference.b = form_of(pair.b);
    difference.differing_bytes = found.bytes;
    const auto type = internal::element_type(pair.a.tensor->dtype);
    if (!type || !type->is_whole_bytes()) return;
    difference.differing_elements = found.elements;
    difference.nonfinite_elements = found.nonfinite;
    if (type->kind != internal::FloatKind::none && found.nonfinite < found.elements)
      difference.largest_difference = found.largest;
  }

  Side& a_;
  Side& b_;
  const DiffOptions& options_;
  Progress& progress_;
  std::deque<Pair> pairs_;
  std::atomic<std::uint64_t> read_{0};
  std::mutex mutex_;  ///< of the pairs' differences
};

/// Files that hold no tensors, nor say where they are.
std::map<std::string, const ManifestFile*> other_files(const Side& side) {
  std::map<std::string, const ManifestFile*> files;
  for (const ManifestFile& file : side.manifest().files)
    if (!is_weight_file(file.path) && !is_shard_index(file.path)) files.emplace(file.path, &file);
  return files;
}

void compare_files(const Side& a, const Side& b, const DiffOptions& options, ModelDiff& out) {
  const auto is_equal = [&](const ManifestFile& x, const ManifestFile& y) {
    if (!options.read_all) return x.has_content_of(y);
    return io::sha256_file(a.path(x.path)) == io::sha256_file(b.path(y.path));
  };
  merge(
      other_files(a), other_files(b),
      [&](const auto& x) {
        out.files.push_back({DifferenceKind::only_in_a, x.first});
      },
      [&](const auto& y) {
        out.files.push_back({DifferenceKind::only_in_b, y.first});
      },
      [&](const auto& x, const auto& y) {
        if (!is_equal(*x.second, *y.second)) out.files.push_back({DifferenceKind::content, x.first});
      });
}

}  // namespace

ModelDiff diff_models(const tree::Tree& tree, const DiffOptions& options, Progress& progress) {
  Side a(tree, options.a), b(tree, options.b);
  ModelDiff out{.a = options.a, .b = options.b};
  Comparison(a, b, options, progress).run(out);
  merge(
      a.metadata(), b.metadata(),
      [&](const auto& x) {
        out.metadata.push_back({x.first, x.second, {}});
      },
      [&](const auto& y) {
        out.metadata.push_back({y.first, {}, y.second});
      },
      [&](const auto& x, const auto& y) {
        if (x.second != y.second) out.metadata.push_back({x.first, x.second, y.second});
      });
  compare_files(a, b, options, out);
  return out;
}

}  // namespace reef::model
