#include "reef/model/internal/source.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "reef/core/error.h"
#include "reef/io/file.h"
#include "reef/model/internal/gguf_source.h"
#include "reef/model/internal/model_config.h"
#include "reef/model/weights.h"

namespace reef::model::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCachePrefix = "models--";
constexpr int kMaxWheelDepth = 16;

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return name.starts_with(p); });
}

/// "1_Pooling": where sentence-transformers keeps the modules after the transformer.
bool is_module_folder(std::string_view name) {
  const std::size_t digits = name.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && name[digits] == '_';
}

/// The last component, also of "model/" and ".".
std::string last_name(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole.filename() : whole.parent_path().filename()).string();
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\"'";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kSpace) - begin + 1));
}

void add_files(const fs::path& folder, const std::string& below, Source& source) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const std::string path = below.empty() ? name : fmt::format("{}/{}", below, name);
    if (entry.is_directory()) {
      if (below.empty() && is_module_folder(name)) add_files(entry.path(), name, source);
    } else if (entry.is_regular_file() && is_model_file(path)) {
      source.files.push_back({entry.path(), path, entry.file_size()});
    }
  }
}

bool has(const Source& source, std::string_view path) {
  return std::any_of(source.files.begin(), source.files.end(), [&](const SourceFile& f) { return f.path == path; });
}

bool has_weights(const Source& source, std::string_view extension) {
  return std::any_of(source.files.begin(), source.files.end(), [&](const SourceFile& f) {
    return f.path.ends_with(extension) && f.path.find('/') == std::string::npos;
  });
}

Kind kind_of(const Source& source) {
  if (has(source, "adapter_config.json")) return Kind::adapter;
  return read_model_config(source.folder).quantization.empty() ? Kind::base : Kind::quantized;
}

/// Says what a folder without weights holds in their place.
[[noreturn]] void fail_no_model(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".bin") && starts_with_any(name, {"pytorch_model", "adapter_model"})) {
      throw Error(Errc::usage,
                  fmt::format("{} is a pickle, which can run code when it is read", io::shown(entry.path())),
                  "import the model in its safetensors form");
    }
  }
  throw Error(Errc::usage, fmt::format("{} holds no model", io::shown(folder)),
              "a model is a folder with config.json (adapters: adapter_config.json) and *.safetensors, or a GGUF file");
}

Source read_folder(const fs::path& folder) {
  Source source;
  source.folder = folder;
  source.name = last_name(folder);
  source.origin = origin_of(folder);
  add_files(folder, "", source);
  std::sort(source.files.begin(), source.files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  source.licence = find_licence(folder);
  const bool has_config = has(source, "config.json") || has(source, "adapter_config.json");
  if (has_config && has_weights(source, ".safetensors")) {
    // Some publish both forms in one folder, and GGUF in a dozen sizes: those are models of their own.
    std::erase_if(source.files, [](const SourceFile& f) { return f.path.ends_with(".gguf"); });
    source.kind = kind_of(source);
  } else if (has_weights(source, ".gguf")) {
    complete_gguf_folder(source);
  } else {
    fail_no_model(folder);
  }
  return source;
}

/// The snapshot that refs/main names, else the only one.
fs::path pick_snapshot(const fs::path& cache) {
  const fs::path snapshots = cache / "snapshots";
  const fs::path main = cache / "refs/main";
  if (fs::exists(main)) {
    const std::string revision = trimmed(io::read_file(main, 4096));
    const bool plain = !revision.empty() && revision.find('/') == std::string::npos && revision != "..";
    if (plain && fs::is_directory(snapshots / revision)) return snapshots / revision;
  }
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(snapshots)) {
    if (entry.is_directory()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) {
    throw Error(Errc::usage, fmt::format("{} holds no snapshot", io::shown(cache)), "download the model again");
  }
  if (found.size() > 1) {
    throw Error(Errc::usage, fmt::format("{} holds {} snapshots", io::shown(cache), found.size()),
                fmt::format("name one of them: {}", io::shown(found.front())));
  }
  return found.front();
}

/// "models--org--name" -> "org/name".
std::optional<std::string> cached_repository(const std::string& folder) {
  if (!folder.starts_with(kCachePrefix)) return std::nullopt;
  std::string name = folder.substr(kCachePrefix.size());
  if (const std::size_t dashes = name.find("--"); dashes != std::string::npos) name.replace(dashes, 2, "/");
  return name;
}

void find_model_folders(const fs::path& folder, int depth, std::vector<fs::path>& found) {
  if (depth > kMaxWheelDepth) return;
  bool config = false;
  bool weights = false;
  std::vector<fs::path> below;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    config = config || name == "config.json" || name == "adapter_config.json";
    weights = weights || is_weight_file(name);
    if (entry.is_directory()) below.push_back(entry.path());
  }
  if (config && weights) {
    found.push_back(folder);
    return;  // what lies inside a model (2_Dense) is part of it
  }
  for (const fs::path& next : below) find_model_folders(next, depth + 1, found);
}

}  // namespace

SourceForm source_form(const fs::path& path) {
  const fs::file_status status = fs::status(path);
  if (!fs::exists(status)) {
    throw Error(Errc::not_found, fmt::format("{}: no such file or folder", io::shown(path)),
                "name a model's folder, a folder of the Hugging Face cache, a GGUF file or a wheel");
  }
  if (fs::is_directory(status)) return SourceForm::folder;
  if (fs::is_regular_file(status)) {
    std::array<char, 4> magic{};
    const io::UniqueFd fd = io::open_file(path, O_RDONLY);
    if (io::file_size(fd.get(), path) >= magic.size()) io::pread_exact(fd.get(), magic.data(), magic.size(), 0, path);
    const std::string_view start(magic.data(), magic.size());
    if (start == std::string_view("PK\x03\x04", 4)) return SourceForm::wheel;
    if (start == "GGUF" || start == "FUGG") return SourceForm::gguf;  // the latter is refused with a better message
    if (is_weight_file(path.string())) {
      throw Error(Errc::usage, fmt::format("{} is a model's weights alone", io::shown(path)),
                  "name the folder that holds them beside config.json");
    }
  }
  throw Error(Errc::usage, fmt::format("{} is no model", io::shown(path)),
              "name a model's folder, a folder of the Hugging Face cache, a GGUF file or a wheel");
}

std::uint64_t Source::total_bytes() const {
  std::uint64_t total = 0;
  for (const SourceFile& file : files) total += file.bytes;
  return total;
}

std::vector<std::string> Source::paths() const {
  std::vector<std::string> all;
  for (const SourceFile& file : files) all.push_back(file.path);
  return all;
}

std::string origin_of(const fs::path& folder) {
  const fs::path snapshot = fs::absolute(folder / "").lexically_normal().parent_path();
  if (snapshot.parent_path().filename() == "snapshots") {
    if (const auto repository = cached_repository(snapshot.parent_path().parent_path().filename().string()))
      return fmt::format("{}@{}", *repository, snapshot.filename().string());
  }
  return snapshot.string();
}

Source open_folder(const fs::path& path) {
  const bool is_cache = cached_repository(last_name(path)) && fs::is_directory(path / "snapshots");
  Source source = read_folder(is_cache ? pick_snapshot(path) : path);
  if (const std::size_t at = source.origin.find('@'); at != std::string::npos && !source.origin.starts_with('/'))
    source.name = source.origin.substr(0, at).substr(source.origin.find('/') + 1);
  return source;
}

Source open_unpacked(const fs::path& folder, const fs::path& wheel) {
  std::vector<fs::path> found;
  find_model_folders(folder, 0, found);
  if (found.empty()) {
    throw Error(Errc::usage, fmt::format("{} carries no model", io::shown(wheel)),
                "a wheel must hold a folder with config.json and *.safetensors");
  }
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    throw Error(Errc::usage, fmt::format("{} carries {} models", io::shown(wheel), found.size()),
                fmt::format("unpack it and import the one you want, such as {}",
                            io::shown(found.front().lexically_relative(folder))));
  }
  Source source = read_folder(found.front());
  source.origin = wheel.filename().string();
  return source;
}

std::string find_licence(const fs::path& folder) {
  constexpr std::uint64_t kMaxTextBytes = 4 << 20;
  const auto lines_of = [&](const char* name, auto on_line) {
    const fs::path path = folder / name;
    std::error_code error;
    if (!fs::is_regular_file(path, error) || fs::file_size(path, error) > kMaxTextBytes) return;
    const std::string text = io::read_file(path, kMaxTextBytes);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      if (!on_line(std::string_view(text).substr(begin, end - begin))) return;
      begin = end + 1;
    }
  };
  std::string licence;
  int fences = 0;
  lines_of("README.md", [&](std::string_view line) {
    if (line.starts_with("---")) return ++fences < 2;
    if (fences == 1 && line.starts_with("license:")) licence = trimmed(line.substr(8));
    return fences == 1 && licence.empty();
  });
  for (const char* name : {"LICENSE", "LICENSE.txt", "LICENSE.md"}) {
    if (!licence.empty()) break;
    lines_of(name, [&](std::string_view line) {
      licence = trimmed(line.substr(0, 100));
      return licence.empty();
    });
  }
  return licence;
}

bool is_model_file(const std::string& path) {
  const std::size_t slash = path.find('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.find('/') != std::string::npos) return false;  // modules are one level deep
  if (is_weight_file(name)) return true;
  if (slash != std::string::npos) return name == "config.json";
  static constexpr std::array<std::string_view, 16> kNames{"config.json",
                                                           "generation_config.json",
                                                           "adapter_config.json",
                                                           "tpu_config.json",
                                                           "preprocessor_config.json",
                                                           "vocab.txt",
                                                           "vocab.json",
                                                           "merges.txt",
                                                           "special_tokens_map.json",
                                                           "added_tokens.json",
                                                           "modules.json",
                                                           "sentence_bert_config.json",
                                                           "chat_template.jinja",
                                                           "sentencepiece.bpe.model",
                                                           "spiece.model",
                                                           "config_sentence_transformers.json"};
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  if (name.ends_with(".safetensors.index.json") || name.ends_with(".tflite")) return true;
  if (name.starts_with("tokenizer")) return name.ends_with(".json") || name.ends_with(".model");
  if (!starts_with_any(name, {"README", "LICENSE", "LICENCE", "NOTICE"})) return false;
  const std::string extension = fs::path(name).extension().string();
  return extension.empty() || extension == ".md" || extension == ".txt";
}

}  // namespace reef::model::internal
