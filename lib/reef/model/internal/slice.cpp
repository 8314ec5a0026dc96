#include "reef/model/internal/slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "reef/core/error.h"

namespace reef::model::internal {
namespace {

/// What stands between two commas.
struct Item {
  enum class Form { index, range, rest } form = Form::index;
  std::size_t at = 0;  ///< in the text
  std::optional<std::int64_t> begin{};
  std::optional<std::int64_t> end{};
};

class SliceParser {
 public:
  SliceParser(std::string_view text, const std::vector<std::uint64_t>& shape, std::string_view tensor)
      : text_(text), shape_(shape), tensor_(tensor) {}

  Slice parse() {
    expect('[');
    do items_.push_back(item());
    while (accept(','));
    expect(']');
    if (at_ != text_.size()) fail(at_, "goes on after its ']'");
    return resolve();
  }

 private:
  [[noreturn]] void fail(std::size_t at, const std::string& what) const {
    const std::string shape = shape_.empty() ? "none: it is a scalar" : fmt::format("{}", fmt::join(shape_, " x "));
    throw Error(Errc::usage, fmt::format("{}: the slice '{}' {} (character {})", tensor_, text_, what, at + 1),
                fmt::format("it is numpy's notation, such as [0:10,:,-1]; dimensions of the tensor: {}", shape));
  }

  void skip_blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  bool accept(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail(at_, fmt::format("lacks a '{}'", wanted));
  }

  std::optional<std::int64_t> integer() {
    const bool is_negative = accept('-');
    skip_blanks();
    const std::size_t first = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0; ++at_) {
      // Beyond any tensor it makes no difference how far.
      value = std::min(value * 10 + (text_[at_] - '0'), std::int64_t{1} << 58);
    }
    if (at_ == first) {
      if (is_negative) fail(at_, "has a '-' without a number");
      return std::nullopt;
    }
    return is_negative ? -value : value;
  }

  Item item() {
    skip_blanks();
    Item item{.at = at_};
    if (text_.substr(at_).starts_with("...")) {
      at_ += 3;
      item.form = Item::Form::rest;
      return item;
    }
    item.begin = integer();
    if (accept(':')) {
      item.form = Item::Form::range;
      item.end = integer();
      if (accept(':')) {
        const std::size_t place = at_;
        if (integer().value_or(1) != 1) fail(place, "has a step, and only 1 is possible");
      }
    } else if (!item.begin) {
      fail(at_, "has neither an integer nor 'begin:end' here");
    }
    return item;
  }

  Slice resolve() const {
    const auto is_rest = [](const Item& item) { return item.form == Item::Form::rest; };
    const auto rests = static_cast<std::size_t>(std::count_if(items_.begin(), items_.end(), is_rest));
    const std::size_t named = items_.size() - rests;
    if (rests > 1) fail(std::find_if(items_.rbegin(), items_.rend(), is_rest)->at, "has a second '...'");
    if (named > shape_.size())
      fail(items_.back().at, fmt::format("names {} dimensions, the tensor has {}", named, shape_.size()));
    Slice slice;
    for (const Item& item : items_) {
      if (is_rest(item)) {
        for (std::size_t i = named; i < shape_.size(); ++i) take_all(slice);
      } else {
        take(slice, item);
      }
    }
    while (slice.dimensions.size() < shape_.size()) take_all(slice);
    return slice;
  }

  void take_all(Slice& slice) const { slice.dimensions.push_back({0, shape_[slice.dimensions.size()], false}); }

  void take(Slice& slice, const Item& item) const {
    const std::size_t number = slice.dimensions.size();
    // A dimension larger than any file has others of 0, and nothing to take.
    const auto size = static_cast<std::int64_t>(std::min<std::uint64_t>(shape_[number], INT64_MAX));
    if (item.form == Item::Form::index) {
      const std::int64_t index = *item.begin < 0 ? *item.begin + size : *item.begin;
      if (index < 0 || index >= size)
        fail(item.at, fmt::format("has {} for dimension {}, whose size is {}", *item.begin, number, size));
      slice.dimensions.push_back({static_cast<std::uint64_t>(index), 1, true});
      return;
    }
    const auto bound = [&](std::int64_t value) {
      return std::clamp(value < 0 ? value + size : value, std::int64_t{0}, size);
    };
    const std::int64_t begin = bound(item.begin.value_or(0)), end = bound(item.end.value_or(size));
    slice.dimensions.push_back(
        {static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(std::max<std::int64_t>(0, end - begin)), false});
  }

  std::string_view text_;
  const std::vector<std::uint64_t>& shape_;
  std::string_view tensor_;
  std::size_t at_ = 0;
  std::vector<Item> items_;
};

}  // namespace

std::vector<std::uint64_t> Slice::shape() const {
  std::vector<std::uint64_t> shape;
  for (const Dimension& dimension : dimensions)
    if (!dimension.is_dropped) shape.push_back(dimension.count);
  return shape;
}

std::uint64_t Slice::elements() const {
  std::uint64_t elements = 1;
  for (const Dimension& dimension : dimensions) elements *= dimension.count;
  return elements;
}

Slice whole(const std::vector<std::uint64_t>& shape) {
  Slice slice;
  for (const std::uint64_t size : shape) slice.dimensions.push_back({0, size, false});
  return slice;
}

Slice parse_slice(std::string_view text, const std::vector<std::uint64_t>& shape, std::string_view tensor) {
  return SliceParser(text, shape, tensor).parse();
}

Runs::Runs(const Slice& slice, const std::vector<std::uint64_t>& shape) : is_done_(slice.elements() == 0) {
  std::uint64_t stride = 1;
  bool is_together = true;  // all that is further in lies together
  for (std::size_t i = shape.size(); i-- > 0;) {
    const Slice::Dimension& taken = slice.dimensions[i];
    next_ += taken.begin * stride;
    if (is_together) {
      length_ *= taken.count;
      is_together = taken.count == shape[i];
    } else if (taken.count != 1) {
      outer_.insert(outer_.begin(), {stride, taken.count, 0});
    }
    stride *= shape[i];
  }
}

std::optional<std::uint64_t> Runs::next() {
  if (is_done_) return std::nullopt;
  const std::uint64_t run = next_;
  std::size_t i = outer_.size();
  for (; i > 0; --i) {
    Outer& outer = outer_[i - 1];
    next_ += outer.stride;
    if (++outer.at < outer.count) break;
    next_ -= outer.stride * outer.count;
    outer.at = 0;
  }
  is_done_ = i == 0;
  return run;
}

}  // namespace reef::model::internal
