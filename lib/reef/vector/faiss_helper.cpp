#include "reef/vector/faiss_helper.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/file.h"
#include "reef/vector/internal/faiss_frames.h"

namespace reef::vector {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// A cold index of many gigabytes takes minutes to open; this is for what hangs.
constexpr milliseconds kLongestAnswer = std::chrono::minutes(15);
constexpr milliseconds kLongestEnd = std::chrono::seconds(10);
/// What reef-faiss takes; also bounds what an answer needs.
constexpr std::size_t kMostK = 1 << 20;
/// Costs nothing beside a search, and spares a second opening when a later question wants a little more.
constexpr std::size_t kLeastK = 64;
constexpr const char* kRebuild = "build the index again";

std::string helper() {
  try {
    return io::helper_path("reef-faiss").string();
  } catch (const Error& e) {
    throw Error(e.code(), e.what(),
                "install libfaiss-dev and build reef again, or install a package of reef that holds reef-faiss");
  }
}

/// The last line that the helper itself wrote, else its last line: what glibc says of a crash, perhaps.
std::string reason(const std::string& error_text) {
  constexpr std::string_view kPrefix = "reef-faiss: ";
  std::string_view rest = error_text;
  std::string_view last;
  std::string_view own;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    if (!line.empty()) last = line;
    if (line.starts_with(kPrefix)) own = line.substr(kPrefix.size());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return printable(own.empty() ? last : own);
}

/// The Error that the helper's status and words stand for. `subject` names the file that it worked on.
[[noreturn]] void throw_ended(int status, const std::string& error_text, const std::string& subject, const char* hint) {
  const std::string why = reason(error_text);
  const auto message = [&](const std::string& otherwise) { return why.empty() ? otherwise : why; };
  if (status == 128 + SIGKILL || status == 128 + SIGTERM) {
    throw Error(Errc::failed, fmt::format("{}: reef-faiss was killed (signal {})", subject, status - 128),
                "the machine may have run out of memory: see 'dmesg', then run the command again");
  }
  if (status > 128) {
    throw Error(Errc::corrupt,
                fmt::format("{}: FAISS crashed (signal {}){}{}", subject, status - 128, why.empty() ? "" : ": ", why),
                hint);
  }
  for (const Errc code : {Errc::usage, Errc::corrupt, Errc::not_found}) {
    if (status == exit_status(code)) throw Error(code, message(subject), hint);
  }
  throw Error(Errc::failed,
              fmt::format("{}: {}", subject, message(fmt::format("reef-faiss ended with status {}", status))), hint);
}

/// Follows "training N", then "rows N" up to all of them.
class BuildProgress {
 public:
  BuildProgress(Progress& progress, std::uint64_t rows) : progress_(progress), rows_(rows) {}

  void line(std::string_view text) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string_view stage = text.substr(0, blank);
    if (stage == "rows") {
      enter("indexing", rows_);
      std::uint64_t count = 0;
      std::from_chars(text.data() + std::min(blank + 1, text.size()), text.data() + text.size(), count);
      if (count <= done_) return;
      progress_.advance(count - done_);
      done_ = count;
    } else if (stage == "training" || stage == "writing") {
      enter(stage, 0);
    }
  }

  void end() {
    if (!stage_.empty()) progress_.end();
    stage_.clear();
  }

 private:
  void enter(std::string_view stage, std::uint64_t total) {
    if (stage == stage_) return;
    end();
    stage_ = stage;
    progress_.begin(stage, total, ProgressUnit::items);
  }

  Progress& progress_;
  std::uint64_t rows_;
  std::uint64_t done_ = 0;
  std::string stage_;
};

void follow(io::Child& child, BuildProgress progress) {
  std::array<char, 4096> piece{};
  std::string text;
  while (const std::size_t count = child.read_some(piece, milliseconds(0))) {
    text.append(piece.data(), count);
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      progress.line(std::string_view(text).substr(0, end));
      text.erase(0, end + 1);
    }
  }
  progress.end();
}

const char* build_hint(int status, const std::string& reason) {
  if (status == exit_status(Errc::usage))
    return "https://github.com/facebookresearch/faiss/wiki/The-index-factory lists them";
  if (reason.find("Number of training points") != std::string::npos)
    return "add more vectors first, or take a factory with fewer lists and smaller code books";
  return "";
}

/// `verb`: what stands before the operands that all builds have.
void run_build(std::vector<std::string> verb, const std::string& subject, const fs::path& vectors, std::uint64_t rows,
               const fs::path& out, unsigned threads, Progress& progress) {
  verb.insert(verb.begin(), helper());
  verb.insert(verb.end(), {vectors.string(), std::to_string(rows), out.string(), "--threads", std::to_string(threads)});
  io::Child child(verb);
  follow(child, {progress, rows});
  const int status = child.finish(milliseconds(0));
  if (status == 0) return;
  // A crash here says nothing of a file: the factory asks for what FAISS does not check.
  if (status > 128 && status != 128 + SIGKILL && status != 128 + SIGTERM) {
    throw Error(Errc::failed, fmt::format("{}: FAISS crashed (signal {}) building it", subject, status - 128),
                "try another factory, or other numbers in this one");
  }
  throw_ended(status, child.error_text(), subject, build_hint(status, reason(child.error_text())));
}

std::string_view bytes_of(const auto& value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

}  // namespace

bool faiss_available() {
  try {
    helper();
    return true;
  } catch (const Error&) {
    return false;
  }
}

void require_faiss() { helper(); }

void build_faiss_index(const std::string& factory, const fs::path& vectors, std::uint64_t rows, const fs::path& out,
                       unsigned threads, Progress& progress) {
  run_build({"build", factory}, fmt::format("{} ({})", io::shown(out), ellipsis(printable(factory), 80)), vectors, rows,
            out, threads, progress);
}

void build_float_graph(const fs::path& vectors, std::uint64_t rows, const fs::path& out, unsigned threads,
                       Progress& progress) {
  run_build({"graph"}, io::shown(out), vectors, rows, out, threads, progress);
}

FaissSearch::FaissSearch(fs::path index, std::size_t dim, const FaissEffort& effort)
    : index_(std::move(index)), dim_(dim), effort_(effort) {}

void FaissSearch::open(std::size_t k) {
  if (child_ && k <= child_k_) return;
  child_.reset();
  child_k_ = std::max(k, kLeastK);
  io::ChildOptions options;
  options.dies_with_thread = false;  // whichever thread asked first need not stay
  child_ = std::make_unique<io::Child>(
      std::vector<std::string>{helper(), "search", index_.string(), std::to_string(child_k_), "--ef",
                               std::to_string(effort_.ef), "--nprobe", std::to_string(effort_.nprobe)},
      options);
  internal::Greeting greeting;
  const std::span<char> into(reinterpret_cast<char*>(&greeting), sizeof greeting);
  if (child_->exchange({}, into, kLongestAnswer) != sizeof greeting) fail_short();
  if (greeting.magic != internal::Greeting().magic) {
    throw Error(Errc::failed, fmt::format("{} is of another version of reef", helper()), "install the whole package");
  }
  if (greeting.dim != dim_) {
    throw Error(
        Errc::corrupt,
        fmt::format("{}: an index over {} dimensions, the vectors have {}", io::shown(index_), greeting.dim, dim_),
        kRebuild);
  }
  rows_ = greeting.rows;
}

void FaissSearch::fail_short() {
  const int status = child_->finish(kLongestEnd);
  throw_ended(status, child_->error_text(), io::shown(index_), kRebuild);
}

std::vector<Hit> FaissSearch::ask(std::span<const float> query, std::size_t k) {
  open(k);
  const internal::QuestionHeader header{1, static_cast<std::uint32_t>(dim_)};
  std::string question(bytes_of(header));
  question.append(reinterpret_cast<const char*>(query.data()), query.size_bytes());
  std::vector<internal::AnswerEntry> answers(child_k_);
  const std::span<char> into(reinterpret_cast<char*>(answers.data()), answers.size() * sizeof answers[0]);
  if (child_->exchange(question, into, kLongestAnswer) != into.size()) fail_short();
  std::vector<Hit> hits;
  for (const internal::AnswerEntry& answer : answers) {
    if (answer.id == -1) continue;
    if (answer.id < 0 || static_cast<std::uint64_t>(answer.id) >= rows_ || std::isnan(answer.score)) {
      throw Error(Errc::corrupt,
                  fmt::format("{}: FAISS found row {} with score {} among {} rows", io::shown(index_), +answer.id,
                              +answer.score, rows_),
                  kRebuild);
    }
    hits.push_back({static_cast<std::uint64_t>(answer.id), answer.score});
  }
  std::sort(hits.begin(), hits.end(),
            [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; });
  if (hits.size() > k) hits.resize(k);
  return hits;
}

std::vector<Hit> FaissSearch::search(std::span<const float> query, std::size_t k) {
  if (query.size() != dim_) {
    throw Error(Errc::failed, fmt::format("{}: a question of {} dimensions, the vectors have {}", io::shown(index_),
                                          query.size(), dim_));
  }
  if (k == 0) return {};
  try {
    return ask(query, std::min(k, kMostK));
  } catch (...) {
    child_.reset();
    throw;
  }
}

std::uint64_t FaissSearch::rows() {
  try {
    open(1);
  } catch (...) {
    child_.reset();
    throw;
  }
  return rows_;
}

}  // namespace reef::vector
