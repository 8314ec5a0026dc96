#include "faiss_index.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "reef/core/error.h"
#include "reef/core/table.h"
#include "reef/io/file.h"

namespace reef::libexec {
namespace {

namespace fs = std::filesystem;

/// Bounds the address space while it lives: a damaged count then throws bad_alloc instead of
/// driving the machine out of memory. Only the soft limit, so that it can be taken off again.
class MemoryBound {
 public:
  explicit MemoryBound(std::uint64_t extra_bytes) {
    if (::getrlimit(RLIMIT_AS, &before_) != 0) throw_errno("read", "the memory limit");
    rlimit bound = before_;
    bound.rlim_cur = std::min<rlim_t>(before_.rlim_cur, mapped_bytes() + extra_bytes);
    ::setrlimit(RLIMIT_AS, &bound);
  }
  MemoryBound(const MemoryBound&) = delete;
  MemoryBound& operator=(const MemoryBound&) = delete;
  ~MemoryBound() { ::setrlimit(RLIMIT_AS, &before_); }

 private:
  static std::uint64_t mapped_bytes() {
    const std::string pages = io::read_file("/proc/self/statm");
    return std::stoull(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }

  rlimit before_{};
};

std::unique_ptr<faiss::Index> read(const fs::path& path) {
  constexpr std::uint64_t kSpareBytes = std::uint64_t{512} << 20;
  const MemoryBound bound(3 * fs::file_size(path) + kSpareBytes);
  return std::unique_ptr<faiss::Index>(faiss::read_index(path.c_str(), faiss::IO_FLAG_MMAP));
}

/// FAISS maps inverted lists without looking whether the file has them: reading past its end would be SIGBUS, or zeros.
bool lists_fit(faiss::Index* inner, std::uint64_t file_bytes) {
  const auto* lists = dynamic_cast<faiss::IndexIVF*>(inner);
  const auto* mapped = lists ? dynamic_cast<faiss::OnDiskInvertedLists*>(lists->invlists) : nullptr;
  if (!mapped) return true;
  const std::uint64_t entry_bytes = mapped->code_size + sizeof(faiss::Index::idx_t);
  return std::all_of(mapped->lists.begin(), mapped->lists.end(), [&](const faiss::OnDiskOneList& list) {
    return list.size <= list.capacity && list.offset <= file_bytes &&
           list.capacity <= (file_bytes - list.offset) / entry_bytes;
  });
}

}  // namespace

std::string plain_message(const std::exception& error) {
  std::string text = error.what();
  // "Error in <signature> at <file>.cpp:<line>: Error: '<check>' failed: <message>"
  if (const auto place = text.find(".cpp:"); place != std::string::npos) {
    text.erase(0, std::min(text.find(": ", place), text.size() - 2) + 2);
  }
  if (text.starts_with("Error: ")) text.erase(0, 7);
  constexpr std::string_view kFailed = "' failed: ";
  if (const auto check = text.find(kFailed); check != std::string::npos && check + kFailed.size() < text.size()) {
    text.erase(0, check + kFailed.size());
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return printable(text);
}

faiss::Index* innermost(faiss::Index* index) {
  while (true) {
    if (auto* map = dynamic_cast<faiss::IndexIDMap*>(index)) {
      index = map->index;
    } else if (auto* transform = dynamic_cast<faiss::IndexPreTransform*>(index)) {
      index = transform->index;
    } else if (auto* refine = dynamic_cast<faiss::IndexRefine*>(index)) {
      index = refine->base_index;
    } else {
      return index;
    }
  }
}

std::unique_ptr<faiss::Index> open_index(const fs::path& path) {
  const char* const next_step = "build the index again";
  { const io::UniqueFd readable = io::open_file(path, O_RDONLY); }
  std::unique_ptr<faiss::Index> index;
  try {
    index = read(path);
  } catch (const std::bad_alloc&) {
    throw Error(Errc::corrupt,
                fmt::format("{}: the counts in it ask for more memory than it can need", io::shown(path)), next_step);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(Errc::corrupt, fmt::format("{}: FAISS cannot read it: {}", io::shown(path), plain_message(e)),
                next_step);
  }
  const bool scored = index->metric_type == faiss::METRIC_INNER_PRODUCT || index->metric_type == faiss::METRIC_L2;
  if (index->d <= 0 || index->ntotal < 0 || !index->is_trained || !scored || !innermost(index.get())) {
    throw Error(Errc::corrupt, fmt::format("{}: no index over vectors that reef could have built", io::shown(path)),
                next_step);
  }
  if (!lists_fit(innermost(index.get()), fs::file_size(path))) {
    throw Error(Errc::corrupt, fmt::format("{}: the file ends within its lists", io::shown(path)), next_step);
  }
  return index;
}

void set_effort(faiss::Index& index, const Effort& effort) {
  faiss::Index* const inner = innermost(&index);
  if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(inner)) {
    graph->hnsw.efSearch = effort.ef > 0 ? effort.ef : std::max(graph->hnsw.efSearch, 64);
  } else if (auto* lists = dynamic_cast<faiss::IndexIVF*>(inner)) {
    const std::size_t wanted = effort.nprobe > 0 ? static_cast<std::size_t>(effort.nprobe)
                                                 : std::max({lists->nprobe, std::size_t{8}, lists->nlist / 16});
    lists->nprobe = std::min(wanted, lists->nlist);
    // It would start threads for each question, to read ahead what is in memory already.
    if (auto* mapped = dynamic_cast<faiss::OnDiskInvertedLists*>(lists->invlists)) mapped->prefetch_nthread = 0;
  }
}

float score_of(const faiss::Index& index, float distance) {
  return index.metric_type == faiss::METRIC_INNER_PRODUCT ? distance : 1 - distance / 2;
}

}  // namespace reef::libexec
