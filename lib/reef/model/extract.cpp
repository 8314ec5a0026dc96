#include "reef/model/extract.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/io/file.h"
#include "reef/model/internal/element_type.h"
#include "reef/model/internal/slice.h"
#include "reef/model/internal/tensor_reader.h"
#include "reef/model/library.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxNpyDimensions = 32;  // numpy's own NPY_MAXDIMS; 64 since numpy 2

struct Found {
  const WeightFile* file = nullptr;
  const WeightTensor* tensor = nullptr;
};

std::optional<Found> find_tensor(const std::vector<WeightFile>& weights, std::string_view name) {
  std::optional<Found> found;
  for (const WeightFile& file : weights) {
    const WeightTensor* tensor = file.find(name);
    if (tensor == nullptr) continue;
    if (!found) {
      found = {&file, tensor};
    } else {
      log_warn("{} is in {}, too; the one of {} is taken", name, io::shown(file.path), io::shown(found->file->path));
    }
  }
  return found;
}

[[noreturn]] void fail_unknown(const std::vector<WeightFile>& weights, const std::string& model,
                               const std::string& name) {
  std::vector<std::string> known;
  for (const WeightFile& file : weights)
    for (const WeightTensor& tensor : file.tensors) known.push_back(tensor.name);
  const auto close = nearest(name, known);
  throw Error(
      Errc::not_found,
      fmt::format("{} has no tensor '{}'{}", model, name, close ? fmt::format(", did you mean '{}'?", *close) : ""),
      fmt::format("'reef-model show {} --tensors' lists them", model));
}

[[noreturn]] void fail_exists(const fs::path& output) {
  throw Error(Errc::usage, fmt::format("{} exists already", io::shown(output)), "choose another name, or pass --force");
}

void check_output(const ExtractOptions& options) {
  if (options.output == "-") return;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(options.output, error);
  if (fs::exists(status)) {
    if (!fs::is_regular_file(status) && !fs::is_symlink(status))
      throw Error(Errc::usage, fmt::format("{} is no regular file", io::shown(options.output)),
                  "'-o -' writes the bytes to stdout");
    if (!options.force) fail_exists(options.output);
  }
  const fs::path folder = options.output.parent_path();
  if (!folder.empty() && !fs::is_directory(folder, error))
    throw Error(Errc::usage, fmt::format("there is no folder {} to write to", io::shown(folder)), "make it first");
}

/// Version 1.0 of NEP 1; data begins at a multiple of 64 bytes.
std::string npy_header(std::string_view type, const std::vector<std::uint64_t>& shape) {
  constexpr std::size_t kPrefix = 10, kAlignment = 64;
  std::string dictionary = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type,
                                       fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const std::size_t total = (kPrefix + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dictionary.resize(total - kPrefix - 1, ' ');
  dictionary.push_back('\n');
  std::string header = "\x93NUMPY";
  header.append({'\1', '\0', static_cast<char>(dictionary.size() & 0xFF), static_cast<char>(dictionary.size() >> 8)});
  return header + dictionary;
}

/// Where the elements go, some at a time.
class Output {
 public:
  Output(const fs::path& path, bool force) : path_(path), force_(force) {
    if (path != "-") {
      io::remove_stale_of(path);
      staged_.emplace(path);
    }
    buffer_.reserve(kBufferBytes);
  }

  void widen_bf16() { widens_ = true; }
  void write(std::string_view text) { io::write_all(fd(), text, shown()); }

  void add(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kBufferBytes - buffer_.size()));
      buffer_.insert(buffer_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (buffer_.size() == kBufferBytes) flush();
    }
  }

  void finish() {
    flush();
    if (!staged_) return;
    if (force_) {
      staged_->commit();
    } else if (!staged_->commit_new()) {
      fail_exists(path_);  // it came while this was written
    }
  }

 private:
  int fd() const { return staged_ ? staged_->fd() : STDOUT_FILENO; }
  fs::path shown() const { return staged_ ? path_ : fs::path("stdout"); }

  void flush() {
    if (!widens_) {
      write({reinterpret_cast<const char*>(buffer_.data()), buffer_.size()});
    } else {
      wide_.resize(buffer_.size() / 2);
      for (std::size_t i = 0; i < wide_.size(); ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, buffer_.data() + 2 * i, sizeof bits);
        wide_[i] = internal::from_bf16(bits);
      }
      write({reinterpret_cast<const char*>(wide_.data()), wide_.size() * sizeof(float)});
    }
    buffer_.clear();
  }

  fs::path path_;
  bool force_;
  std::optional<io::StagedFile> staged_;
  std::vector<std::uint8_t> buffer_;
  std::vector<float> wide_;
  bool widens_ = false;
};

/// The bytes of a slice, as ranges of the file.
class SliceRanges {
 public:
  /// Throws Error{usage} when elements that share bytes are cut apart.
  SliceRanges(const Found& found, const internal::Slice& slice, bool is_whole)
      : slice_(slice), shape_(found.tensor->shape), runs_(slice, shape_) {
    const WeightTensor& tensor = *found.tensor;
    base_ = found.file->data_offset + tensor.begin;
    if (is_whole) {
      whole_ = {base_, base_ + tensor.bytes()};
      return;
    }
    const auto type = internal::element_type(tensor.dtype);
    bits_ = type ? type->bits : 0;
    if (type && type->is_whole_bytes()) return;
    bool is_cut = !type || runs_.length() * bits_ % 8 != 0;
    while (!is_cut) {
      const auto run = runs_.next();
      if (!run) break;
      is_cut = *run * bits_ % 8 != 0;
    }
    if (is_cut)
      throw Error(Errc::usage,
                  fmt::format("{}: elements of type {} share bytes, and the slice cuts through some", tensor.name,
                              tensor.dtype),
                  "leave out the slice, or choose one of whole rows");
    restart();
  }

  internal::ByteRange next() {
    if (bits_ == 0) return std::exchange(is_given_, true) ? internal::ByteRange{} : whole_;
    const auto run = runs_.next();
    if (!run) return {};
    const std::uint64_t begin = base_ + *run * bits_ / 8;
    return {begin, begin + runs_.length() * bits_ / 8};
  }

  void restart() {
    runs_ = internal::Runs(slice_, shape_);
    is_given_ = false;
  }

 private:
  const internal::Slice& slice_;
  const std::vector<std::uint64_t>& shape_;
  internal::Runs runs_;
  std::uint64_t base_ = 0;
  std::uint64_t bits_ = 0;  ///< of an element; 0: all bytes are wanted
  internal::ByteRange whole_;
  bool is_given_ = false;
};

void choose_npy(ExtractedTensor& out) {
  const auto type = internal::element_type(out.dtype);
  constexpr const char* kHint = "any other extension writes the bytes as they are, such as -o tensor.bin";
  if (!type || type->npy.empty())
    throw Error(Errc::usage, fmt::format("{}: .npy has no type for {}", out.tensor, out.dtype), kHint);
  if (out.shape.size() > kMaxNpyDimensions)
    throw Error(
        Errc::usage,
        fmt::format("{}: {} dimensions, numpy reads at most {}", out.tensor, out.shape.size(), kMaxNpyDimensions),
        kHint);
  out.npy_type = type->npy;
  out.conversion = type->npy_conversion;
}

}  // namespace

ExtractedTensor extract_tensor(const tree::Tree& tree, const ExtractOptions& options, Progress& progress) {
  check_output(options);
  const Installed model = find_model(tree, options.name);
  std::vector<std::string> paths;
  for (const ManifestFile& file : model.manifest.files) paths.push_back(file.path);
  const std::vector<WeightFile> weights = read_weights(model.folder, paths);

  ExtractedTensor out;
  out.model = model.manifest.name;
  out.output = options.output;
  // A name may hold brackets itself.
  out.tensor = options.tensor;
  auto found = find_tensor(weights, out.tensor);
  if (const std::size_t bracket = options.tensor.rfind('['); !found && bracket != std::string::npos) {
    out.tensor = options.tensor.substr(0, bracket);
    out.slice = options.tensor.substr(bracket);
    found = find_tensor(weights, out.tensor);
  }
  if (!found) fail_unknown(weights, options.name, out.tensor);

  const WeightTensor& tensor = *found->tensor;
  const bool is_whole = out.slice.empty();
  const internal::Slice slice =
      is_whole ? internal::whole(tensor.shape) : internal::parse_slice(out.slice, tensor.shape, tensor.name);
  out.file = found->file->path;
  out.dtype = tensor.dtype;
  out.tensor_shape = tensor.shape;
  out.shape = slice.shape();
  if (options.output.extension() == ".npy") choose_npy(out);
  SliceRanges ranges(*found, slice, is_whole);

  const io::DirectFile file(model.folder / out.file);
  Output output(options.output, options.force);
  if (!out.npy_type.empty()) output.write(npy_header(out.npy_type, out.shape));
  const bool widens = out.conversion == "float32";
  if (widens) output.widen_bf16();
  progress.begin("extracting", is_whole ? tensor.bytes() : 0, ProgressUnit::bytes);
  out.bytes_read = internal::read_ranges(
      file, [&] { return ranges.next(); }, [&] { ranges.restart(); },
      [&](std::span<const std::uint8_t> bytes) {
        output.add(bytes);
        out.bytes_written += bytes.size() * (widens ? 2 : 1);
        progress.advance(bytes.size());
      });
  output.finish();
  progress.end();
  return out;
}

}  // namespace reef::model
