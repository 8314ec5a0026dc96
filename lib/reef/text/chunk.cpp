#include "reef/text/chunk.h"

#include <algorithm>
#include <utility>

#include "reef/text/internal/strings.h"
#include "reef/text/internal/units.h"

namespace reef::text {
namespace {

using internal::Unit;
using internal::Units;

/// A chunk in the making: units [first, last), those before `fresh` repeated from its predecessor.
struct Range {
  std::size_t first = 0;
  std::size_t fresh = 0;
  std::size_t last = 0;
  std::size_t cost = 0;
  bool continues = false;  ///< cut from its predecessor because that was full
};

class Packer {
 public:
  Packer(const Units& parts, std::size_t overlap) : units_(parts.units), parts_(parts), overlap_(overlap) {
    add_block_costs();
  }

  std::vector<Range> pack() {
    for (std::size_t i = 0; i < units_.size(); ++i) {
      if (open_.last > open_.first) make_place(i);
      if (open_.last == open_.first && !open_.continues) open_ = {i, i, i, 0, false};
      open_.cost += units_[i].cost;
      open_.last = i + 1;
    }
    if (open_.last > open_.first) {
      close_section();
      join_last();
    }
    return std::move(ranges_);
  }

 private:
  std::size_t room(const Range& range) const { return parts_.sections[units_[range.first].section].room; }
  std::size_t room_from(std::size_t unit) const { return parts_.sections[units_[unit].section].room; }
  /// Chunks under this are joined or evened out.
  std::size_t small(const Range& range) const { return room(range) / 4; }

  void add_block_costs() {
    for (const Unit& unit : units_) {
      if (unit.block >= block_costs_.size()) block_costs_.resize(unit.block + std::size_t{1}, 0);
      block_costs_[unit.block] += unit.cost;
    }
  }

  /// Closes the open chunk if unit `i` must or should not go into it.
  void make_place(std::size_t i) {
    const Unit& unit = units_[i];
    if (unit.breaks) {
      close_section();
      open_ = {};
      return;
    }
    if (unit.section != units_[i - 1].section) {
      even_out();
      if (open_.cost >= small(open_) || open_.continues) {
        ranges_.push_back(std::exchange(open_, {}));
        return;
      }
    }
    const std::size_t left = room(open_) - open_.cost;
    if (unit.cost > left) return start_next(i, unit.cost);
    // A paragraph is kept whole when that leaves the open chunk at least half full.
    const bool first_of_block = units_[i - 1].block != unit.block;
    const std::size_t block = block_costs_[unit.block];
    if (first_of_block && block > left && block <= room_from(i) && open_.cost >= room(open_) / 2) start_next(i, block);
  }

  /// Closes the open chunk because it is full and opens the next one with its last sentences.
  /// `need`: tokens that must find place behind them.
  void start_next(std::size_t i, std::size_t need) {
    const bool same_section = units_[i].section == units_[i - 1].section;
    const Range full = std::exchange(open_, {});
    ranges_.push_back(full);
    if (same_section) open_ = overlapped(i, std::max(full.fresh, full.first + 1), need);
  }

  /// A chunk whose fresh units start at `i`, with as much repeated before it as is allowed.
  Range overlapped(std::size_t i, std::size_t least, std::size_t need) const {
    const std::size_t allowed = std::min(overlap_, room_from(i) - std::min(need, room_from(i)));
    Range range{i, i, i, 0, true};
    while (range.first > least && !units_[range.first].breaks) {
      const Unit& before = units_[range.first - 1];
      if (before.section != units_[i].section || range.cost + before.cost > allowed) break;
      range.cost += before.cost;
      --range.first;
    }
    return range;
  }

  void close_section() {
    even_out();
    ranges_.push_back(open_);
  }

  /// The remainder of a section may be tiny: it is merged with the chunk before it if both fit in
  /// one, else what the two hold is divided into halves.
  void even_out() {
    if (!open_.continues || ranges_.empty()) return;
    Range& before = ranges_.back();
    const std::size_t own = cost_of(open_.fresh, open_.last);
    if (own >= small(open_)) return;
    for (std::size_t i = open_.fresh; i > before.fresh; --i) {
      if (units_[i].breaks || units_[i].section != units_[open_.fresh].section) return;
    }
    if (before.cost + own <= room(before)) {
      before.last = open_.last;
      before.cost += own;
      open_ = before;
      ranges_.pop_back();
      return;
    }
    divide(before, own);
  }

  void divide(Range& before, std::size_t own) {
    std::size_t middle = open_.fresh;
    std::size_t right = own;
    const std::size_t total = before.cost + own;
    // A little less than half stays on the right, so that the overlap finds place there.
    while (middle - 1 > before.fresh && (right + units_[middle - 1].cost) * 2 <= total) {
      --middle;
      right += units_[middle].cost;
    }
    if (middle == open_.fresh) return;
    const std::size_t last = open_.last;
    before.cost = total - right;
    before.last = middle;
    open_ = overlapped(middle, std::max(before.fresh, before.first + 1), right);
    open_.last = last;
    open_.cost += right;
  }

  /// A last section of few words goes with the chunk before it.
  void join_last() {
    if (ranges_.size() < 2) return;
    const Range last = ranges_.back();
    Range& before = ranges_[ranges_.size() - 2];
    if (last.continues || units_[last.first].breaks || last.cost >= small(last)) return;
    if (before.cost + last.cost > room(before)) return;
    before.last = last.last;
    before.cost += last.cost;
    ranges_.pop_back();
  }

  std::size_t cost_of(std::size_t first, std::size_t last) const {
    std::size_t sum = 0;
    for (std::size_t i = first; i < last; ++i) sum += units_[i].cost;
    return sum;
  }

  const std::vector<Unit>& units_;
  const Units& parts_;
  std::size_t overlap_;
  std::vector<std::size_t> block_costs_;
  Range open_;
  std::vector<Range> ranges_;
};

std::string_view first_line(std::string_view text) {
  text = internal::trimmed(text.substr(0, text.find('\n', text.find_first_not_of(" \t\r\n#*="))));
  while (!text.empty() && (text.front() == '#' || text.front() == ' ')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '#' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<Chunk> chunk(const Document& document, const TokenCounter& count, const ChunkOptions& options) {
  const Units parts = internal::cut_units(document, count, options.max_tokens);
  const std::vector<Range> ranges = Packer(parts, options.overlap_tokens).pack();
  std::vector<Chunk> chunks;
  chunks.reserve(ranges.size());
  for (const Range& range : ranges) {
    const Unit& first = parts.units[range.first];
    Chunk out;
    const std::size_t length = parts.units[range.last - 1].end - first.start;
    const std::string_view text = internal::trimmed(std::string_view(document.text).substr(first.start, length));
    out.text = text;
    out.heading_path = parts.sections[first.section].path;
    out.start = document.base_offset + static_cast<std::uint64_t>(text.data() - document.text.data());
    out.end = out.start + text.size();
    out.page = document.blocks[first.block].page;
    chunks.push_back(std::move(out));
  }
  return chunks;
}

std::string passage_text(std::string_view title, std::string_view heading_path, std::string_view text) {
  // A title of a few hundred bytes is no title; it must not take the place of the text.
  constexpr std::size_t kTitleBytes = 200;
  title = internal::shortened(title, kTitleBytes);
  const std::string_view opening = first_line(text.substr(0, 1024));
  std::string out;
  const auto add = [&out](std::string_view words, std::string_view separator) {
    if (!out.empty()) out += separator;
    out += words;
  };
  if (!title.empty() && !text.starts_with(title) && opening != title) add(title, "");
  bool first = true;
  while (!heading_path.empty()) {
    const std::size_t end = heading_path.find(" > ");
    const std::string_view heading = heading_path.substr(0, end);
    heading_path.remove_prefix(end == std::string_view::npos ? heading_path.size() : end + 3);
    if (heading == title || heading == opening) continue;
    add(heading, first ? "\n" : " > ");
    first = false;
  }
  if (!text.empty()) add(text, "\n");
  return out;
}

}  // namespace reef::text
