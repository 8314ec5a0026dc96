#include "reef/backup/internal/fault_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "reef/backup/internal/tree_marks.h"
#include "reef/core/cancel.h"
#include "reef/core/error.h"
#include "reef/io/file.h"

namespace reef::backup::internal {
namespace {

constexpr std::size_t kMostPaths = 100;
constexpr std::uint32_t kAllBlocks = UINT32_MAX;

}  // namespace

FaultTrace::FaultTrace(Packs& packs, std::vector<PackFault> faults) : packs_(packs), faults_(std::move(faults)) {
  join();
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const PackFault& fault = faults_[i];
    told_.push_back({Packs::name_of(fault.pack), fault.what, {}, {}});
    const std::uint64_t count = fault.count == kAllBlocks ? std::uint64_t{1} << 32 : fault.count;
    if (count > 0) bad_[fault.pack].emplace(fault.first, std::pair(count, i));
  }
}

/// A bad sector hits several blocks, and a drive that fails very many: one fault for those that are neighbours.
void FaultTrace::join() {
  std::sort(faults_.begin(), faults_.end(), [](const PackFault& a, const PackFault& b) {
    return std::tie(a.pack, a.first, a.count) < std::tie(b.pack, b.first, b.count);
  });
  std::vector<PackFault> joined;
  for (PackFault& fault : faults_) {
    PackFault* last = joined.empty() ? nullptr : &joined.back();
    const bool follows = last != nullptr && last->pack == fault.pack && fault.count == 1 && last->count > 0 &&
                         last->count != kAllBlocks && fault.first <= last->first + last->count;
    if (!follows) {
      joined.push_back(std::move(fault));
      continue;
    }
    last->count = std::max(last->count, fault.first - last->first + 1);
  }
  for (PackFault& fault : joined) {
    if (fault.count > 1 && fault.count != kAllBlocks && fault.what.starts_with("block "))
      fault.what =
          fmt::format("blocks {} to {}, the first: {}", fault.first, fault.first + fault.count - 1, fault.what);
  }
  faults_ = std::move(joined);
}

FaultTrace::Hits FaultTrace::hits_of(const BlockRun& run) const {
  Hits hits;
  const auto pack = bad_.find(run.pack);
  if (pack == bad_.end()) return hits;
  const auto end = pack->second.lower_bound(run.first + run.count);
  for (auto bad = pack->second.begin(); bad != end; ++bad)
    if (bad->first + bad->second.first > run.first) hits.insert(bad->second.second);
  return hits;
}

const FaultTrace::Hits& FaultTrace::hits_of_list(const NodeRef& list) {
  const auto [found, is_new] = lists_.try_emplace(key_of(list.at));
  if (!is_new) return found->second;
  Hits hits = hits_of({list.at.pack, list.at.number, 1});
  try {
    for (const BlockRun& run : read_list(packs_.read_node(list), "a list of blocks")) hits.merge(hits_of(run));
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
  }
  return found->second = std::move(hits);
}

const FaultTrace::PathHits& FaultTrace::hits_of_node(const EntriesNode& node) {
  const auto found = nodes_.find(key_of(node.node.at));
  if (found != nodes_.end()) return found->second;
  return nodes_[key_of(node.node.at)] = find_hits(node);
}

FaultTrace::PathHits FaultTrace::find_hits(const EntriesNode& node) {
  check_interrupt();
  PathHits hits;
  for (const std::size_t fault : hits_of({node.node.at.pack, node.node.at.number, 1})) {
    hits.emplace(fault, node.first_path);
    told_[fault].what +=
        fmt::format("; {} entries from {} on are lost with it", node.entries, io::shown(node.first_path));
  }
  try {
    const std::string text = packs_.read_node(node.node);
    for (const std::string_view bytes : split_entries(text, "a node of entries")) {
      const StoredEntry stored = read_entry(bytes, "a node of entries");
      Hits of_file;
      for (const BlockRun& run : stored.content.runs) of_file.merge(hits_of(run));
      for (const NodeRef& list : stored.content.lists) {
        const Hits& more = hits_of_list(list);
        of_file.insert(more.begin(), more.end());
      }
      for (const std::size_t fault : of_file) hits.emplace(fault, stored.entry.path);
    }
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
  }
  return hits;
}

void FaultTrace::trace(const SnapshotFile& snapshot) {
  PathHits hits;
  for (const std::size_t fault : hits_of({snapshot.root.at.pack, snapshot.root.at.number, 1})) hits.emplace(fault, "");
  try {
    for (const EntriesNode& node : read_root(packs_.read_node(snapshot.root), "the tree of a snapshot")) {
      const PathHits& more = hits_of_node(node);
      hits.insert(more.begin(), more.end());
    }
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted) throw;
  }
  for (const auto& [number, path] : hits) {
    Fault& fault = told_[number];
    if (fault.snapshots.empty() || fault.snapshots.back() != snapshot.snapshot.id)
      fault.snapshots.push_back(snapshot.snapshot.id);
    if (fault.paths.size() < kMostPaths && std::find(fault.paths.begin(), fault.paths.end(), path) == fault.paths.end())
      fault.paths.push_back(path);
  }
}

std::vector<Fault> FaultTrace::take(const fs::path& repository) {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < told_.size(); ++i) {
    Fault& fault = told_[i];
    std::error_code error;
    const bool is_void =
        fault.snapshots.empty() && (faults_[i].of_reference || !fs::exists(repository / fault.file, error));
    if (!is_void) faults.push_back(std::move(fault));
  }
  return faults;
}

}  // namespace reef::backup::internal
