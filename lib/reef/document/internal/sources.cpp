#include "reef/document/internal/sources.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <utility>

#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/core/log.h"
#include "reef/core/table.h"
#include "reef/core/time.h"
#include "reef/document/internal/schema.h"
#include "reef/io/checksum.h"
#include "reef/io/file.h"

namespace reef::document::internal {
namespace {

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000ll + time.tv_nsec; }

}  // namespace

FileStamp stamp_of(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) throw_errno("read", io::shown(file));
  return {static_cast<std::uint64_t>(info.st_size), nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

void set_stamp(Source& source, const FileStamp& stamp) {
  source.bytes = stamp.size;
  source.mtime_ns = stamp.mtime_ns;
  source.ctime_ns = stamp.ctime_ns;
}

bool is_untouched(const Source& source, const FileStamp& stamp) {
  constexpr std::int64_t kSettled = 2'000'000'000;
  const std::int64_t seen_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(parse_time(source.last_seen).time_since_epoch()).count();
  return source.bytes == stamp.size && source.mtime_ns == stamp.mtime_ns && source.ctime_ns == stamp.ctime_ns &&
         seen_ns - stamp.ctime_ns > kSettled;
}

void require_fits(const InputFile& file, const FileStamp& stamp, const text::ExtractOptions& limits, bool text_only) {
  if (text_only || stamp.size <= limits.max_file_bytes) return;
  throw InputError({Errc::failed,
                    fmt::format("{} is larger than ingest.max_file_bytes ({} > {} bytes)", io::shown(file.source),
                                stamp.size, limits.max_file_bytes),
                    "raise ingest.max_file_bytes in system.yaml, or pass --text-only to stream it without vectors"});
}

bool is_settled(const Source& source, bool text_only, const std::vector<std::string>& tags) {
  return source.state == SourceState::done && source.text_only == text_only && source.tags == tags &&
         source.reason.empty() && !source.path.starts_with("stdin:");
}

text::Format require_format(const InputFile& file, const text::ExtractOptions& options) {
  const auto format = reading_input([&] { return text::detect_format(file.file, options); });
  if (format) return *format;
  throw InputError({Errc::failed, fmt::format("{} is a binary file of no known kind", io::shown(file.source)),
                    "name a converter for it in system.yaml (ingest.converters), or leave it out"});
}

bool is_below(const std::string& path, const std::vector<std::string>& folders) {
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    return path.starts_with(folder == "/" ? folder : folder + "/");
  });
}

void require_folders_there(const std::vector<Source>& sources, const InputFiles& input) {
  for (const std::string& folder : input.folders) {
    const auto below = [&](const std::string& path) { return is_below(path, {folder}); };
    if (std::any_of(input.files.begin(), input.files.end(), [&](const auto& file) { return below(file.source); }))
      continue;
    const auto lost =
        std::count_if(sources.begin(), sources.end(), [&](const auto& known) { return below(known.path); });
    if (lost == 0) continue;
    throw Error(Errc::failed,
                fmt::format("{} holds no files, and {} {} ingested from it; is it not mounted?", io::shown(folder),
                            lost, lost == 1 ? "file was" : "files were"),
                "nothing was removed; pass --force if they are gone for good");
  }
}

std::string plain_extension(const std::filesystem::path& file) {
  constexpr std::size_t kLongest = 16;
  std::string extension = file.extension().string();
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    const bool plain = c == '.' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!plain) return "";
  }
  return extension.size() <= kLongest ? extension : "";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string joined_reasons(const std::vector<text::Fault>& faults) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(faults.size(), kShown); ++i) {
    if (i > 0) text += "; ";
    text += faults[i].line > 0 ? fmt::format("line {}: {}", faults[i].line, faults[i].reason) : faults[i].reason;
  }
  if (faults.size() > kShown) text += fmt::format("; and {} more", faults.size() - kShown);
  return text;
}

bool file_exists(const std::filesystem::path& file) {
  struct stat info {};
  // Only a clear "no such file" counts: an unreachable mount must not look like deleted files.
  return ::lstat(file.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool is_gone(const std::filesystem::path& file) {
  struct stat info {};
  return !file_exists(file) || (::stat(file.c_str(), &info) == 0 && S_ISDIR(info.st_mode));
}

void drop_original(Registry& registry, Originals& originals, const std::string& sha256, const std::string& extension) {
  if (sha256.empty()) return;
  // The registry's write lock: no other scope may record a need for the file between the look and
  // the removal. Whoever records it later copies the file again.
  io::Transaction transaction(registry.database());
  if (registry.references(sha256, extension) == 0) originals.remove(sha256, extension);
  transaction.commit();
}

bool is_given(std::string_view source) { return source.starts_with(kGivenSource); }

std::string given_source(const std::filesystem::path& texts) {
  return kGivenSource + std::filesystem::absolute(texts).lexically_normal().string();
}

bool is_alive(Registry& registry, const tree::Scope& scope, const std::string& path) {
  if (is_given(path)) return true;
  return registry.find(scope, path).has_value() && !path.starts_with("stdin:") && file_exists(path);
}

std::vector<std::string> remove_source(Stores& store, Registry& registry, Originals& originals, Source& source) {
  source.state = SourceState::removing;
  registry.save(source);
  std::vector<std::string> removed;
  for (const DocumentRow& document : store.of_source(source.path)) {
    check_interrupt();
    store.remove_document(document);
    removed.push_back(document.name);
  }
  store.forget_removed(source.path);
  // The row goes last: while it is there, a run that is killed here is finished by the next. In one
  // transaction, as in drop_original().
  io::Transaction transaction(registry.database());
  const std::vector<std::string> held{std::exchange(source.sha256, ""), std::exchange(source.next_sha256, "")};
  for (const std::string& sha256 : held) {
    if (sha256.empty()) continue;
    if (registry.references(sha256, source.extension) <= 1) originals.remove(sha256, source.extension);
  }
  registry.erase(source.id);
  transaction.commit();
  return removed;
}

namespace {

void rebuild_like(Store& store, const vector::StoreState& state, unsigned threads, Progress& progress) {
  const bool wants_graph = vector::is_large_enough(store.vectors().state()) || !state.index_file.empty();
  vector::RebuildOptions options{
      .threads = threads, .with_graph = wants_graph, .factory = state.index_factory, .recall = state.index_recall};
  std::optional<vector::Rebuilt> rebuilt;
  if (!options.factory.empty()) {
    try {
      rebuilt = store.rebuild(options, progress);
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      log_warn("{}: {}; reef's own graph takes the place of {}", store.scope().name(), error.what(), options.factory);
    }
    options.factory.clear();
  }
  if (!rebuilt) rebuilt = store.rebuild(options, progress);
  if (!rebuilt->codes_lose.empty()) log_warn("{}: {}", store.scope().name(), rebuilt->codes_lose);
}

}  // namespace

bool try_rebuild_like(Store& store, const vector::StoreState& state, unsigned threads, Progress& progress,
                      const std::string& name, const char* instead) {
  try {
    rebuild_like(store, state, threads, progress);
  } catch (const std::exception&) {
    const Error error = current_error();
    if (error.code() == Errc::interrupted) throw;
    log_warn("{}: {}; {} until 'reef-index build' runs", name, error.what(), instead);
    return false;
  }
  store.finish_run();
  return true;
}

bool rebuild_if_due(Stores& stores, unsigned threads, Progress& progress) {
  bool rebuilt = false;
  for (std::size_t i = 0; i < stores.size(); ++i) {
    if (!stores[i].rebuild_is_due()) continue;
    log_step("building the index of {} anew", tree::part_name(stores.scope(), stores.parts()[i]));
    rebuilt |= try_rebuild_like(stores[i], vector::StoreState(stores[i].vectors().state()), threads, progress,
                                tree::part_name(stores.scope(), stores.parts()[i]), "the old index stays");
  }
  return rebuilt;
}

IngestReport plan_ingest(const tree::Tree& tree, const IngestOptions& options) {
  IngestReport report;
  report.scope = options.scope.name();
  report.dry_run = true;
  if (std::find(options.paths.begin(), options.paths.end(), "-") != options.paths.end())
    throw Error(Errc::usage, "--dry-run cannot look into a pipe", "name files or folders");
  std::optional<Registry> registry;
  if (file_exists(tree.registry())) registry.emplace(tree.registry());
  auto input = list_files(options.paths, report.faults);
  std::map<std::string, Source> resumed;
  if (registry) {
    for (Source& source : registry->unfinished(options.scope)) {
      const bool named = std::any_of(input.files.begin(), input.files.end(),
                                     [&](const InputFile& file) { return file.source == source.path; });
      if (source.state == SourceState::removing) report.remove.push_back(source.path);
      if (source.state != SourceState::pending || named) continue;
      input.files.push_back({source.path, source.path, source.bytes});
      resumed.emplace(source.path, std::move(source));
    }
  }
  for (const InputFile& file : input.files) {
    check_interrupt();
    ++report.files;
    const auto old = registry ? registry->find(options.scope, file.source) : std::nullopt;
    const auto begun = resumed.find(file.source);
    const bool text_only = begun == resumed.end() ? options.text_only : begun->second.text_only;
    const auto& tags = begun == resumed.end() ? options.tags : begun->second.tags;
    try {
      const FileStamp stamp = stamp_of(file.file);
      require_fits(file, stamp, options.extract, text_only);
      const bool same = old && is_settled(*old, text_only, tags) &&
                        (is_untouched(*old, stamp) || old->sha256 == io::to_hex(io::sha256_file(file.file)));
      if (same) {
        ++report.unchanged;
      } else if (stamp.size == 0) {
        report.faults.push_back({io::shown(file.source), 0, "it is empty", ""});
      } else {
        require_format(file, options.extract);
        (old && !old->sha256.empty() ? report.replace : report.add).push_back(file.source);
      }
    } catch (const Error& error) {
      if (error.code() == Errc::interrupted) throw;
      report.faults.push_back({io::shown(file.source), 0, error.what(), error.hint()});
    }
  }
  if (options.prune && registry) {
    const auto sources = registry->list(options.scope);
    if (!options.force) require_folders_there(sources, input);
    for (const Source& source : sources) {
      if (is_below(source.path, input.folders) && is_gone(source.path)) report.remove.push_back(source.path);
    }
  }
  return report;
}

PipedInput::~PipedInput() {
  if (!file_.empty()) ::unlink(file_.c_str());
}

InputFile PipedInput::read() {
  std::array<char, 1 << 16> block;
  io::UniqueFd out;
  io::Sha256 hash;
  std::uint64_t bytes = 0;
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, block.data(), block.size());
    check_interrupt();
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("read", "standard input");
    if (count == 0) break;
    const std::string_view piece(block.data(), static_cast<std::size_t>(count));
    if (!out) {
      const auto start = piece.find_first_not_of(" \t\r\n");
      const bool json = start != std::string_view::npos && piece[start] == '{';
      file_ = folder_ / (io::temporary_name(folder_ / "stdin").filename().string() + (json ? ".jsonl" : ".txt"));
      out = io::open_file(file_, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
    }
    io::write_all(out.get(), piece, file_);
    hash.update(piece);
    bytes += piece.size();
  }
  if (!out) throw Error(Errc::failed, "standard input is empty", "pipe JSON lines or text into the command");
  const std::string digest = io::to_hex(hash.finish());
  return {file_, "stdin:" + digest.substr(0, 12), bytes};
}

}  // namespace reef::document::internal
