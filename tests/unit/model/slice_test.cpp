#include "reef/model/internal/slice.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "reef/core/error.h"

using namespace reef;
using namespace reef::model::internal;

namespace {

using Shape = std::vector<std::uint64_t>;

/// "3 x 2: 0 1 4 5": shape, and elements in order.
std::string taken(std::string_view text, const Shape& shape) {
  const Slice slice = parse_slice(text, shape, "w");
  std::string result = fmt::format("{}:", fmt::join(slice.shape(), "x"));
  Runs runs(slice, shape);
  std::uint64_t elements = 0;
  while (const auto run = runs.next()) {
    for (std::uint64_t i = 0; i < runs.length(); ++i) result += fmt::format(" {}", *run + i);
    elements += runs.length();
  }
  CHECK(elements == slice.elements());
  return result;
}

}  // namespace

TEST_CASE("slices take what numpy takes") {
  const Shape shape{3, 4};
  struct Row {
    const char* slice;
    const char* taken;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"[0]", "4: 0 1 2 3"},
           {"[-1]", "4: 8 9 10 11"},
           {"[1,2]", ": 6"},
           {"[-3,-4]", ": 0"},
           {"[:,3]", "3: 3 7 11"},
           {"[:,-1:]", "3x1: 3 7 11"},
           {"[1:]", "2x4: 4 5 6 7 8 9 10 11"},
           {"[:2,1:3]", "2x2: 1 2 5 6"},
           {"[0:99,-99:2]", "3x2: 0 1 4 5 8 9"},
           {"[99999999999999999999:]", "0x4:"},
           {"[-99999999999999999999:1]", "1x4: 0 1 2 3"},
           {"[2:1]", "0x4:"},
           {"[:-1,0]", "2: 0 4"},
           {"[...]", "3x4: 0 1 2 3 4 5 6 7 8 9 10 11"},
           {"[...,0]", "3: 0 4 8"},
           {"[0,...]", "4: 0 1 2 3"},
           {"[0,1,...]", ": 1"},
           {"[ 0 : 1 , 2 ]", "1: 2"},
           {"[::1,0:2:1]", "3x2: 0 1 4 5 8 9"},
       }) {
    CAPTURE(row.slice);
    CHECK(taken(row.slice, shape) == row.taken);
  }
}

TEST_CASE("runs are as long as they can be") {
  const Shape shape{2, 3, 4};
  CHECK(Runs(whole(shape), shape).length() == 24);
  CHECK(Runs(parse_slice("[1]", shape, "w"), shape).length() == 12);
  CHECK(Runs(parse_slice("[:,1:3]", shape, "w"), shape).length() == 8);
  CHECK(Runs(parse_slice("[:,:,1:]", shape, "w"), shape).length() == 3);
  CHECK(taken("[:,1:,3]", shape) == "2x2: 7 11 19 23");
  CHECK(taken("[0:2,2,1:3]", shape) == "2x2: 9 10 21 22");
  CHECK(taken("[...]", {}) == ": 0");
  CHECK(taken("[:,0]", {4, 1}) == "4: 0 1 2 3");
  CHECK(taken("[:]", {0, 5}) == "0x5:");
  CHECK(taken("[:,2]", {0, 5}) == "0:");
}

TEST_CASE("what is no slice of the tensor is refused, with the character") {
  const Shape shape{3, 4};
  struct Row {
    const char* slice;
    const char* what;
  };
  for (const Row& row : std::initializer_list<Row>{
           {"[", "has neither an integer nor 'begin:end' here (character 2)"},
           {"[]", "has neither an integer nor 'begin:end' here (character 2)"},
           {"[0:4,x]", "has neither an integer nor 'begin:end' here (character 6)"},
           {"[0,]", "has neither an integer nor 'begin:end' here (character 4)"},
           {"[1.5]", "lacks a ']' (character 3)"},
           {"[0:4", "lacks a ']' (character 5)"},
           {"[0]x", "goes on after its ']' (character 4)"},
           {"[-]", "has a '-' without a number (character 3)"},
           {"[3]", "has 3 for dimension 0, whose size is 3 (character 2)"},
           {"[0,-5]", "has -5 for dimension 1, whose size is 4 (character 4)"},
           {"[0,1,2]", "names 3 dimensions, the tensor has 2 (character 6)"},
           {"[...,...]", "has a second '...' (character 6)"},
           {"[::2]", "has a step, and only 1 is possible (character 4)"},
           {"[::-1]", "has a step, and only 1 is possible (character 4)"},
           {"[None]", "has neither an integer nor 'begin:end' here (character 2)"},
       }) {
    CAPTURE(row.slice);
    CHECK_THROWS_WITH_AS(parse_slice(row.slice, shape, "w"),
                         fmt::format("w: the slice '{}' {}", row.slice, row.what).c_str(), Error);
  }
  CHECK_THROWS_WITH_AS(parse_slice("[0]", {0}, "w"), doctest::Contains("whose size is 0"), Error);
  CHECK_THROWS_WITH_AS(parse_slice("[0]", {}, "w"), doctest::Contains("the tensor has 0"), Error);
}
