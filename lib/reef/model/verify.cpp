#include "reef/model/verify.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <set>

#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/text.h"
#include "reef/core/units.h"
#include "reef/io/file.h"
#include "reef/model/internal/chunk_check.h"
#include "reef/model/internal/foreign_files.h"
#include "reef/model/internal/verified_chunks.h"
#include "reef/model/library.h"
#include "reef/model/signature.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

/// How often a long run notes what it found sound.
constexpr auto kNotePeriod = std::chrono::seconds(10);

class ModelCheck {
 public:
  ModelCheck(const tree::Tree& tree, const ListEntry& entry, const VerifyOptions& options, const SigningKey* key)
      : entry_(entry), options_(options) {
    out_.name = entry.name;
    out_.kind = entry.kind;
    if (!entry.fault.empty()) {
      fault(std::string(kManifestFile), entry.fault);
      return;
    }
    // What is signed, compared with and noted is the text of one moment.
    const fs::path file = entry.folder / kManifestFile;
    const std::string text = io::read_file(file, kMaxManifestBytes);
    manifest_ = parse_manifest(text, file.string());
    sound_ = {tree.cache() / "verify" / fmt::format("{}-{}.json", kind_name(entry.kind), entry.name),
              io::to_hex(io::sha256(text))};
    if (key != nullptr) check_signature(*key, text);
    open_files();
    if (!options.reads_all()) return;
    go_on();
  }

  /// Leaves the chunks alone that hold none of the tensors. The names that it has are taken off `missing`.
  void keep_tensors(std::set<std::string>& missing) {
    for (internal::CheckedFile& file : files_) {
      std::vector<char> wanted(file.wanted.size(), 0);
      bool has_one = false;
      for (const std::string& name : options_.tensors) {
        const WeightTensor* tensor = file.weights ? file.weights->find(name) : nullptr;
        if (tensor == nullptr) continue;
        missing.erase(name);
        has_one = true;
        const std::uint64_t begin = file.weights->data_offset + tensor->begin;
        const std::uint64_t end = std::min(begin + tensor->bytes(), file.file.size());
        for (std::uint64_t at = begin / kChunkBytes; at * kChunkBytes < end; ++at) wanted[at] = 1;
      }
      want(file, std::move(wanted), has_one);
    }
  }

  /// Leaves all but a random share of the chunks alone.
  void keep_sample(std::mt19937_64& random) {
    for (internal::CheckedFile& file : files_) {
      std::vector<std::size_t> all, chosen;
      for (std::size_t chunk = 0; chunk < file.wanted.size(); ++chunk)
        if (file.wanted[chunk] != 0) all.push_back(chunk);
      const double share = options_.sample * static_cast<double>(all.size());
      std::sample(all.begin(), all.end(), std::back_inserter(chosen), static_cast<std::ptrdiff_t>(std::ceil(share)),
                  random);
      std::vector<char> wanted(file.wanted.size(), 0);
      for (const std::size_t chunk : chosen) wanted[chunk] = 1;
      want(file, std::move(wanted), !chosen.empty());
    }
  }

  std::deque<internal::CheckedFile>& files() { return files_; }

  std::uint64_t bytes_to_read() const {
    std::uint64_t bytes = 0;
    for (const internal::CheckedFile& file : files_) bytes += bytes_of(file, file.wanted);
    return bytes;
  }

  /// For the next run, when this one is interrupted.
  void note_sound() {
    if (!options_.reads_all()) return;
    bool any = false;
    for (const internal::CheckedFile& file : files_) {
      if (!file.has_chunks() || file.wanted.size() == 1) continue;
      // What was read is not what is there now if somebody wrote to it meanwhile, or put another file in its place.
      if (internal::file_stamp(file.file.plain_fd()) != file.stamp ||
          internal::file_stamp(file.file.path()) != file.stamp)
        continue;
      std::vector<char>& flags = flags_of(file);
      for (std::size_t chunk = 0; chunk < flags.size(); ++chunk)
        if (file.sound[chunk] != 0) flags[chunk] = 1;
      any = any || std::find(flags.begin(), flags.end(), 1) != flags.end();
    }
    if (any) sound_.save();
  }

  /// After the bytes: what a sound file says must make a model.
  VerifiedModel finish() {
    if (!entry_.fault.empty()) return std::move(out_);
    std::vector<std::string> sound;
    for (internal::CheckedFile& file : files_) {
      const std::uint64_t bytes = bytes_of(file, file.wanted);
      out_.bytes += bytes;
      if (bytes > 0 || options_.reads_all()) ++out_.files;
      if (file.faults.empty()) sound.push_back(file.expected.path);
      std::move(file.faults.begin(), file.faults.end(), std::back_inserter(out_.faults));
    }
    if (sound.size() == manifest_.files.size() && out_.faults.empty())
      check([&] { read_weights(entry_.folder, sound); }, std::string(kShardIndexFile));
    find_foreign_files();
    if (options_.reads_all()) sound_.remove();
    return std::move(out_);
  }

 private:
  void fault(std::string file, std::string what) {
    out_.faults.push_back({std::move(file), std::move(what), std::nullopt});
  }

  /// Runs `step`; what it throws becomes a fault, unless the run was asked to stop.
  template <class Step>
  void check(Step step, const std::string& file) {
    try {
      step();
    } catch (const std::exception&) {
      const Error error = current_error();
      if (error.code() == Errc::interrupted) throw error;
      fault(file, error.what());
    }
  }

  void check_signature(const SigningKey& key, const std::string& text) {
    const fs::path path = entry_.folder / kSignatureFile;
    if (!fs::exists(path)) return fault(std::string(kSignatureFile), "is missing");
    check(
        [&] {
          if (!key.has_signed(text, io::read_file(path, 1 << 20)))
            fault(std::string(kSignatureFile), "is no signature of manifest.json by this key");
        },
        std::string(kSignatureFile));
  }

  void open_files() {
    std::vector<ChunkDigests> chunks(manifest_.files.size());
    check([&] { chunks = read_chunk_table(entry_.folder, manifest_); }, std::string(kChunksFile));
    for (std::size_t i = 0; i < manifest_.files.size(); ++i)
      check([&] { open_file(manifest_.files[i], std::move(chunks[i])); }, manifest_.files[i].path);
  }

  void open_file(const ManifestFile& expected, ChunkDigests chunks) {
    const fs::path path = entry_.folder / expected.path;
    std::error_code error;
    if (!fs::is_regular_file(path, error))
      return fault(expected.path, fs::exists(path, error) ? "is no regular file" : "is missing");
    const std::uint64_t bytes = fs::file_size(path, error);
    if (error) return fault(expected.path, fmt::format("cannot be read: {}", error.message()));
    if (bytes != expected.bytes)
      return fault(expected.path, fmt::format("has {} bytes, manifest says {}", bytes, expected.bytes));
    files_.emplace_back(path, expected, std::move(chunks));
    if (files_.back().file.size() != expected.bytes) {
      files_.pop_back();
      return fault(expected.path, "changed while it was opened");
    }
    if (!is_weight_file(expected.path)) return;
    // A header that breaks a rule is a fault whether or not its bytes are those of the manifest.
    check([&] { files_.back().weights = read_weight_file(entry_.folder, expected.path); }, expected.path);
  }

  static void want(internal::CheckedFile& file, std::vector<char> wanted, bool any) {
    if (file.has_chunks()) {
      file.wanted = std::move(wanted);
    } else if (!any) {
      file.wanted.clear();  // else it is read as a whole
    }
  }

  static std::uint64_t bytes_of(const internal::CheckedFile& file, const std::vector<char>& flags) {
    std::uint64_t bytes = 0;
    for (std::size_t chunk = 0; chunk < flags.size(); ++chunk)
      if (flags[chunk] != 0) bytes += file.chunk_end(chunk) - file.chunk_begin(chunk);
    return bytes;
  }

  std::vector<char>& flags_of(const internal::CheckedFile& file) {
    return sound_.flags(file.expected.path, file.stamp, file.wanted.size());
  }

  void go_on() {
    if (options_.restart || !sound_.load(entry_.folder)) return;
    for (internal::CheckedFile& file : files_) {
      if (!file.has_chunks() || file.wanted.size() == 1) continue;
      const std::vector<char>& earlier = flags_of(file);
      out_.bytes_earlier += bytes_of(file, earlier);
      for (std::size_t chunk = 0; chunk < earlier.size(); ++chunk)
        if (earlier[chunk] != 0) file.wanted[chunk] = 0;
    }
    if (out_.bytes_earlier == 0) return;
    log_info("{}: going on where a run was interrupted, after {} (--restart begins anew)", out_.name,
             format_size(out_.bytes_earlier));
  }

  void find_foreign_files() {
    for (std::string& path : internal::foreign_files(entry_.folder, manifest_))
      fault(std::move(path), "is not in the manifest");
  }

  const ListEntry& entry_;
  const VerifyOptions& options_;
  Manifest manifest_;
  internal::VerifiedChunks sound_;
  std::deque<internal::CheckedFile> files_;
  VerifiedModel out_;
};

void keep_tensors(std::deque<ModelCheck>& models, const VerifyOptions& options) {
  std::set<std::string> missing(options.tensors.begin(), options.tensors.end());
  for (ModelCheck& model : models) model.keep_tensors(missing);
  if (missing.empty()) return;
  std::vector<std::string> known;
  for (ModelCheck& model : models) {
    for (const internal::CheckedFile& file : model.files()) {
      if (!file.weights) continue;
      for (const WeightTensor& tensor : file.weights->tensors) known.push_back(tensor.name);
    }
  }
  const auto close = nearest(*missing.begin(), known);
  throw Error(Errc::not_found,
              fmt::format("no model here has a tensor '{}'{}", *missing.begin(),
                          close ? fmt::format(", did you mean '{}'?", *close) : ""),
              "'reef-model show NAME --tensors' lists them");
}

void check_chunks(std::deque<ModelCheck>& models, const VerifyOptions& options, Progress& progress) {
  std::uint64_t total = 0;
  for (const ModelCheck& model : models) total += model.bytes_to_read();
  auto noted = std::chrono::steady_clock::now();
  const auto note = [&] {
    for (ModelCheck& model : models) model.note_sound();
    noted = std::chrono::steady_clock::now();
  };
  progress.begin("verifying", total, ProgressUnit::bytes);
  try {
    for (ModelCheck& model : models) {
      internal::check_chunks(model.files(), options.threads, [&](std::uint64_t bytes) {
        progress.advance(bytes);
        if (std::chrono::steady_clock::now() - noted > kNotePeriod) note();
      });
    }
  } catch (const Error&) {
    note();
    throw;
  }
  progress.end();
}

/// Every file of every model is open twice; of 1,024, the usual limit, some dozens of models have more.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

const VerifiedModel* first_faulty(const std::vector<VerifiedModel>& models) {
  const auto it = std::find_if(models.begin(), models.end(), [](const VerifiedModel& m) { return !m.faults.empty(); });
  return it == models.end() ? nullptr : &*it;
}

}  // namespace

std::string VerifyFault::text() const {
  if (!chunk) return fmt::format("{}: {}", io::shown(file), what);
  constexpr std::size_t kNamed = 3;
  std::string inside;
  for (std::size_t i = 0; i < std::min(kNamed, chunk->tensors.size()); ++i) inside += ", " + chunk->tensors[i];
  if (chunk->tensors.size() > kNamed) inside += fmt::format(" and {} more", chunk->tensors.size() - kNamed);
  return fmt::format("{}, chunk {} (bytes {}-{}{}): {}", io::shown(file), chunk->number, chunk->begin, chunk->end - 1,
                     inside, what);
}

std::uint64_t VerifyReport::faults() const {
  std::uint64_t count = 0;
  for (const VerifiedModel& model : models) count += model.faults.size();
  return count;
}

std::uint64_t VerifyReport::bytes() const {
  std::uint64_t bytes = 0;
  for (const VerifiedModel& model : models) bytes += model.bytes;
  return bytes;
}

std::string VerifyReport::first_fault() const {
  const VerifiedModel* model = first_faulty(models);
  return model ? fmt::format("{}: {}", model->name, model->faults.front().text()) : "";
}

std::string VerifyReport::first_faulty_model() const {
  const VerifiedModel* model = first_faulty(models);
  return model ? model->name : "";
}

VerifyReport verify_models(const tree::Tree& tree, const VerifyOptions& options, Progress& progress) {
  allow_many_files();
  const auto started = std::chrono::steady_clock::now();
  const std::vector<ListEntry> entries = select_models(tree, options.names);
  std::optional<SigningKey> key;
  if (options.key) key = SigningKey::read(*options.key);
  std::deque<ModelCheck> models;
  for (const ListEntry& entry : entries) models.emplace_back(tree, entry, options, key ? &*key : nullptr);
  if (!options.tensors.empty()) keep_tensors(models, options);
  if (options.sample < 1) {
    std::mt19937_64 random(std::random_device{}());
    for (ModelCheck& model : models) model.keep_sample(random);
  }
  check_chunks(models, options, progress);
  VerifyReport report;
  report.is_partial = !options.reads_all();
  for (ModelCheck& model : models) report.models.push_back(model.finish());
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return report;
}

}  // namespace reef::model
