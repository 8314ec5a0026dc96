#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"
#include "reef/io/mapped_file.h"
#include "reef/model/internal/weights.h"
#include "reef/model/library.h"

namespace reef::model {
namespace {

namespace fs = std::filesystem;

class ModelVerifier {
 public:
  ModelVerifier(const fs::path& folder, VerifiedModel& out, Progress& progress)
      : folder_(folder), out_(out), progress_(progress) {}

  void verify(const Manifest& manifest) {
    std::vector<std::string> sound;
    for (const ManifestFile& file : manifest.files) {
      if (verify_file(file)) sound.push_back(file.path);
    }
    // The bytes are those of the manifest; whether they make a model is another question.
    for (const std::string& path : sound) check([&] { verify_header(path); }, path);
    if (sound.size() == manifest.files.size() && out_.faults.empty()) {
      check([&] { internal::read_weights(folder_, sound); }, std::string(internal::kShardIndexFile));
    }
    find_foreign_files(manifest);
  }

 private:
  /// Runs `step`; what it throws becomes a fault, unless the run was asked to stop.
  template <class Step>
  void check(Step step, const std::string& file) {
    try {
      step();
    } catch (const Error& e) {
      if (e.code() == Errc::interrupted) throw;
      out_.faults.push_back({file, e.what()});
    }
  }

  bool verify_file(const ManifestFile& expected) {
    const std::size_t before = out_.faults.size();
    check([&] { compare(expected); }, expected.path);
    return out_.faults.size() == before;
  }

  void compare(const ManifestFile& expected) {
    const fs::path path = folder_ / expected.path;
    const auto fault = [&](std::string what) { out_.faults.push_back({expected.path, std::move(what)}); };
    std::error_code error;
    if (!fs::is_regular_file(path, error)) {
      progress_.advance(expected.bytes);
      return fault(fs::exists(path, error) ? "is no regular file" : "is missing");
    }
    const std::uint64_t bytes = fs::file_size(path, error);
    if (error) return fault(fmt::format("cannot be read: {}", error.message()));
    if (bytes != expected.bytes) {
      progress_.advance(expected.bytes);
      return fault(fmt::format("has {} bytes, manifest says {}", bytes, expected.bytes));
    }
    const std::string digest = io::to_hex(io::sha256_file(path, [this](std::uint64_t count) {
      progress_.advance(count);
      check_interrupt();
    }));
    ++out_.files;
    out_.bytes += bytes;
    if (digest != expected.sha256) fault(fmt::format("sha256 is {}, manifest says {}", digest, expected.sha256));
  }

  void verify_header(const std::string& path) const {
    if (!internal::is_safetensors(path)) return;
    const io::MappedFile file(folder_ / path);
    parse_safetensors(file.bytes(), file.size(), "header");
  }

  void find_foreign_files(const Manifest& manifest) {
    std::set<std::string> known{std::string(kManifestFile)};
    for (const ManifestFile& file : manifest.files) known.insert(file.path);
    std::vector<std::string> foreign;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (entry.is_directory()) continue;
      std::string path = entry.path().lexically_relative(folder_).string();
      if (!known.contains(path)) foreign.push_back(std::move(path));
    }
    std::sort(foreign.begin(), foreign.end());
    for (std::string& path : foreign) out_.faults.push_back({std::move(path), "is not in the manifest"});
  }

  const fs::path& folder_;
  VerifiedModel& out_;
  Progress& progress_;
};

/// What stands in the list, by the names given, in that order.
std::vector<ListEntry> selected(const tree::Tree& tree, const std::vector<std::string>& names) {
  std::vector<ListEntry> all = list_models(tree).entries;
  if (names.empty()) return all;
  std::vector<ListEntry> chosen;
  for (const std::string& name : names) {
    const auto named = [&](const ListEntry& entry) {
      return entry.name == name || fmt::format("{}/{}", kind_folder(entry.kind), entry.name) == name;
    };
    const std::size_t before = chosen.size();
    std::copy_if(all.begin(), all.end(), std::back_inserter(chosen), named);
    if (chosen.size() == before) find_model(tree, name);  // throws, naming the nearest
  }
  return chosen;
}

const VerifiedModel* first_faulty(const std::vector<VerifiedModel>& models) {
  const auto it = std::find_if(models.begin(), models.end(), [](const VerifiedModel& m) { return !m.faults.empty(); });
  return it == models.end() ? nullptr : &*it;
}

}  // namespace

std::uint64_t VerifyReport::faults() const {
  std::uint64_t count = 0;
  for (const VerifiedModel& model : models) count += model.faults.size();
  return count;
}

std::string VerifyReport::first_fault() const {
  const VerifiedModel* model = first_faulty(models);
  if (!model) return {};
  return fmt::format("{}: {}: {}", model->name, io::shown(model->faults.front().file), model->faults.front().what);
}

std::string VerifyReport::first_faulty_model() const {
  const VerifiedModel* model = first_faulty(models);
  return model ? model->name : "";
}

VerifyReport verify_models(const tree::Tree& tree, const std::vector<std::string>& names, Progress& progress) {
  const std::vector<ListEntry> entries = selected(tree, names);
  std::uint64_t total = 0;
  for (const ListEntry& entry : entries) total += entry.manifest.total_bytes();
  VerifyReport report;
  progress.begin("verifying", total, ProgressUnit::bytes);
  for (const ListEntry& entry : entries) {
    VerifiedModel& model = report.models.emplace_back();
    model.name = entry.name;
    model.kind = entry.kind;
    if (entry.fault.empty()) {
      ModelVerifier(entry.folder, model, progress).verify(entry.manifest);
    } else {
      model.faults.push_back({std::string(kManifestFile), entry.fault});
    }
  }
  progress.end();
  return report;
}

}  // namespace reef::model
