#include "reef/model/repack.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/io/file.h"
#include "reef/model/embedding.h"
#include "reef/model/internal/aligned_copy.h"
#include "reef/model/internal/json_scanner.h"
#include "reef/model/internal/staging.h"
#include "reef/model/library.h"
#include "reef/model/safetensors.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMinAlignment = 8;  // of the largest element
constexpr std::uint64_t kMaxAlignment = 2 << 20;

class Repacker {
 public:
  Repacker(const tree::Tree& tree, const RepackOptions& options, Progress& progress)
      : tree_(tree), options_(options), progress_(progress) {}

  RepackResult run() {
    if (!std::has_single_bit(options_.alignment) || options_.alignment < kMinAlignment ||
        options_.alignment > kMaxAlignment)
      throw Error(Errc::usage, fmt::format("--align is {}, no power of two from 8 to 2 MiB", options_.alignment),
                  "such as --align 64 (the default), or --align 4KiB for pages");
    find_model_folder(tree_, options_.name);  // an unknown name is told before anything is waited for
    std::optional<io::LockFile> lock;
    if (!options_.dry_run) lock.emplace(internal::lock_models(tree_, options_.wait));
    model_ = find_model(tree_, options_.name);
    plan();
    if (result_.files.empty()) return std::move(result_);
    require_that_it_may_change();
    if (!options_.dry_run) write();
    return std::move(result_);
  }

 private:
  struct Job {
    const ManifestFile* entry;
    SafetensorsHeader header;
    std::string head_sha256;  ///< of the bytes that `header` was read from
    internal::AlignedLayout layout{};
    internal::SourceDigests digests{};  ///< of what was read
  };

  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const ManifestFile& file : model_.manifest.files) all.push_back(file.path);
    return all;
  }

  void plan() {
    result_.name = model_.manifest.name;
    result_.kind = model_.manifest.kind;
    result_.folder = model_.folder;
    result_.alignment = options_.alignment;
    result_.dry_run = options_.dry_run;
    for (const ManifestFile& file : model_.manifest.files) require_size(file);
    for (const WeightFile& weights : read_weights(model_.folder, paths())) {
      if (!weights.path.ends_with(".safetensors")) {
        result_.has_gguf = true;
        continue;
      }
      result_.has_safetensors = true;
      const SafetensorsFile file_now(model_.folder / weights.path);
      Job job{model_.manifest.find(weights.path), file_now.header(),
              io::to_hex(io::sha256(file_now.file().bytes().first(file_now.header().data_offset)))};
      job.layout = internal::align_layout(job.header, options_.alignment, weights.path);
      if (job.layout.is_same()) continue;
      RepackedFile& file = result_.files.emplace_back();
      file.path = weights.path;
      file.bytes = job.layout.head.size() + job.header.data_bytes;
      file.tensors = weights.tensors.size();
      file.unaligned = static_cast<std::uint64_t>(std::count_if(weights.tensors.begin(), weights.tensors.end(),
                                                                [](const WeightTensor& t) { return !t.is_aligned; }));
      file.is_reordered = job.layout.moves_tensors;
      jobs_.push_back(std::move(job));
    }
    result_.removes_signature = !jobs_.empty() && fs::exists(model_.folder / kSignatureFile);
  }

  [[noreturn]] void fail(const std::string& file, const std::string& what) const {
    throw Error(Errc::corrupt, fmt::format("{}: {}: {}", model_.manifest.name, io::shown(file), what),
                "nothing was changed; import the model again, then repack it");
  }

  [[noreturn]] void fail_reading_back(const ManifestFile& file, const std::string& what) const {
    throw Error(Errc::failed,
                fmt::format("{}: {}: {} reads back with other bytes than were written", result_.name,
                            io::shown(file.path), what),
                "nothing was changed; memory or disk is faulty: look at the kernel's log");
  }

  void require_size(const ManifestFile& file) const {
    const fs::path path = model_.folder / file.path;
    if (!fs::is_regular_file(path)) fail(file.path, "is missing");
    if (const auto bytes = fs::file_size(path); bytes != file.bytes)
      fail(file.path, fmt::format("has {} bytes, manifest says {}", bytes, file.bytes));
  }

  void require_that_it_may_change() const {
    if (!options_.force && is_bert_encoder(model_.folder))
      throw Error(
          Errc::usage, fmt::format("{} makes vectors, and stores know it by the digest of its weights", result_.name),
          "with --force their vectors count as another model's; 'reef-index build --embedding' makes them anew");
    const std::vector<std::string> foreign = foreign_files(model_.folder, model_.manifest);
    if (!foreign.empty())
      throw Error(Errc::usage, fmt::format("{} is not in the manifest", io::shown(model_.folder / foreign.front())),
                  "move it away, or take it into the manifest with 'reef-model manifest --force'");
  }

  void write() {
    internal::require_space(model_.folder.parent_path(), model_.manifest.total_bytes());
    internal::Staging staged(model_.folder, progress_);
    const std::vector<ChunkDigests> chunks = read_chunk_table(model_.folder, model_.manifest);
    progress_.begin("repacking", model_.manifest.total_bytes(), ProgressUnit::bytes);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      const ManifestFile& file = model_.manifest.files[i];
      const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& j) { return j.entry == &file; });
      if (job != jobs_.end()) {
        rewrite(*job, chunks[i], staged.place_of(file.path));
      } else {
        staged.bring({model_.folder / file.path, file.path, file.bytes}, internal::Staging::How::copy);
      }
    }
    progress_.end();
    Manifest manifest = model_.manifest;
    staged.digest(manifest, staged.weights(manifest), options_.threads, true);
    compare(manifest);
    staged.publish(manifest, manifest_text(manifest));
    if (result_.removes_signature)
      log_warn("{} is removed, for it signed another manifest; sign again with 'reef-model manifest sign'",
               io::shown(model_.folder / kSignatureFile));
  }

  void rewrite(Job& job, const ChunkDigests& chunks, const fs::path& target) {
    internal::CheckedFile source(model_.folder / job.entry->path, *job.entry, chunks);
    source.weights = read_weight_file(model_.folder, job.entry->path);
    if (source.file.size() != job.header.data_offset + job.header.data_bytes)
      fail(job.entry->path, "changed while it was opened");
    job.digests = internal::copy_aligned({source, result_.name}, job.header, job.layout, target,
                                         [this](std::uint64_t bytes) { progress_.advance(bytes); });
    // Names, types and shapes were taken from it before it was verified.
    if (job.digests.head != job.head_sha256) fail(job.entry->path, "its header changed while it was read");
  }

  /// What was written, read again: the tensors of before, and the other files as the manifest has them. Digests of
  /// tensors are recorded where they were before.
  void compare(Manifest& written) const {
    for (std::size_t i = 0; i < written.files.size(); ++i) {
      ManifestFile& file = written.files[i];
      const ManifestFile& before = model_.manifest.files[i];
      const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& j) { return j.entry == &before; });
      if (job == jobs_.end()) {
        if (!file.has_content_of(before))
          fail(file.path, fmt::format("sha256 is {}, manifest says {}", file.sha256, before.sha256));
        file.tensors = before.tensors;
        continue;
      }
      // Types and shapes stand in the header alone.
      if (file.header_sha256 != io::to_hex(io::sha256(job->layout.head)) ||
          file.tensors.size() != job->digests.tensors.size())
        fail_reading_back(file, "the header");
      for (const TensorDigest& tensor : file.tensors) {
        const auto found = job->digests.tensors.find(tensor.name);
        if (found == job->digests.tensors.end() || found->second != tensor.sha256)
          fail_reading_back(file, "tensor " + internal::legible(tensor.name));
      }
      if (before.tensors.empty()) file.tensors.clear();
    }
  }

  const tree::Tree& tree_;
  const RepackOptions& options_;
  Progress& progress_;
  Installed model_;
  std::vector<Job> jobs_;
  RepackResult result_;
};

}  // namespace

RepackResult repack_model(const tree::Tree& tree, const RepackOptions& options, Progress& progress) {
  return Repacker(tree, options, progress).run();
}

}  // namespace reef::model
