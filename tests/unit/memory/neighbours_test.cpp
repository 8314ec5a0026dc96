#include "reef/memory/internal/neighbours.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <future>
#include <numeric>
#include <random>

using namespace reef;
using memory::internal::Neighbours;

namespace {

std::vector<float> random_unit(std::minstd_rand& random, std::size_t dim, float offset) {
  std::vector<float> row(dim);
  float squares = 0;
  for (float& x : row) {
    x = static_cast<float>(random()) / 2147483648.0F - .5F + offset;
    squares += x * x;
  }
  for (float& x : row) x /= std::sqrt(squares);
  return row;
}

}  // namespace

TEST_CASE("among the newest nothing near is missed, of older ones what shares a rare word or an entity") {
  std::minstd_rand random(7);
  constexpr std::size_t kDim = 16;
  Neighbours all;
  std::vector<std::vector<float>> rows;
  for (std::size_t i = 0; i < Neighbours::kScanned + 500; ++i) {
    rows.push_back(random_unit(random, kDim, 0));
    const std::vector<std::int64_t> entities{static_cast<std::int64_t>(i)};
    all.add(static_cast<std::int64_t>(i), rows.back(), entities, fmt::format("every text has word{}", i));
  }
  const auto nearest = [&](std::size_t i, std::string_view content, std::vector<std::int64_t> entities) {
    const auto near = all.find(rows[i], entities, content, 1);
    return !near.empty() && near.front().id == static_cast<std::int64_t>(i) && near.front().cosine > .98F;
  };
  for (std::size_t i = 500; i < rows.size(); i += 997) {
    CAPTURE(i);
    CHECK(nearest(i, "", {}));
  }
  CHECK(nearest(rows.size() - 1, "", {}));
  CHECK_FALSE(nearest(3, "every text has", {}));
  CHECK(nearest(3, "with word3 in it", {}));
  CHECK(nearest(3, "", {3}));
}

TEST_CASE("what was scanned for many at once changes nothing that is found, however many were added since") {
  std::minstd_rand random(5);
  constexpr std::size_t kDim = 24, kQuestions = 70, kNearest = 16;
  Neighbours all;
  std::int64_t id = 0;
  const auto add = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, ++id)
      all.add(id, id % 50 == 7 ? std::vector<float>() : random_unit(random, kDim, 0), {}, "");
  };
  std::vector<float> questions;
  for (std::size_t i = 0; i < kQuestions; ++i) {
    const auto row = random_unit(random, kDim, 0);
    questions.insert(questions.end(), row.begin(), row.end());
  }
  CHECK(all.scanner(kNearest).scan(questions, 2).empty());
  const auto compare = [&](const std::vector<memory::internal::Scan>& scans) {
    REQUIRE(scans.size() == kQuestions);
    for (std::size_t i = 0; i < kQuestions; ++i) {
      const auto row = std::span(questions).subspan(i * kDim, kDim);
      const auto one_by_one = all.find(row, {}, "", kNearest);
      const auto found = all.find(row, {}, "", kNearest, &scans[i]);
      REQUIRE(found.size() == kNearest);
      for (std::size_t n = 0; n < kNearest; ++n) {
        CHECK(found[n].id == one_by_one[n].id);
        CHECK(found[n].cosine == one_by_one[n].cosine);
      }
    }
  };
  add(1001);
  const auto few = all.scanner(kNearest).scan(questions, 2);
  compare(few);
  add(62);  // within blocks, and over their ends
  compare(few);
  add(Neighbours::kScanned - 900);
  compare(few);
  const auto many = all.scanner(kNearest).scan(questions, 1);
  compare(many);
  add(memory::internal::Scanner::kRecent);
  CHECK(all.is_recent(many[0]));
  compare(many);
  // What a scan says is not looked for again.
  const memory::internal::Scan nothing{all.size() - Neighbours::kScanned, all.size(), memory::internal::Best(kNearest)};
  CHECK(all.find(std::span(questions).first(kDim), {}, "", kNearest, &nothing).empty());
  add(1);  // more are too old by now than the scan left out
  CHECK_FALSE(all.is_recent(many[0]));
  compare(many);
}

TEST_CASE("a vector of another size is like none") {
  std::minstd_rand random(2);
  Neighbours all;
  all.add(1, random_unit(random, 24, 0), {}, "");
  for (const std::size_t dim : {8, 48}) all.add(static_cast<std::int64_t>(dim), random_unit(random, dim, 0), {}, "");
  CHECK(all.vectors() == 1);
  const auto row = random_unit(random, 24, 0);
  CHECK(all.find(row, {}, "", 5).size() == 1);
  CHECK(all.scanner(5).scan(row, 1).at(0).best.hits().size() == 1);
}

TEST_CASE("a scan in another thread sees what was there when it began") {
  std::minstd_rand random(9);
  constexpr std::size_t kDim = 32;
  Neighbours all;
  for (std::int64_t id = 0; id < 1000; ++id) all.add(id, random_unit(random, kDim, 0), {}, "");
  std::vector<float> questions;
  for (std::size_t i = 0; i < 200; ++i) {
    const auto row = random_unit(random, kDim, 0);
    questions.insert(questions.end(), row.begin(), row.end());
  }
  const auto scanner = all.scanner(4);
  const auto expected = scanner.scan(questions, 1);
  auto scans = std::async(std::launch::async, [&] { return scanner.scan(questions, 2); });
  for (std::int64_t id = 1000; id < 3000; ++id) all.add(id, random_unit(random, kDim, 0), {}, "");
  const auto found = scans.get();
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].end == 1000);
    CHECK(found[i].best.hits() == expected[i].best.hits());
  }
}

TEST_CASE("cosines by codes are near those of the floats") {
  std::minstd_rand random(11);
  constexpr std::size_t kDim = 384;
  Neighbours all;
  std::vector<std::vector<float>> rows;
  for (std::int64_t id = 0; id < 300; ++id) {
    rows.push_back(random_unit(random, kDim, id % 2 == 0 ? 0.F : .4F));
    all.add(id, rows.back(), {}, "");
  }
  float worst = 0;
  for (const auto& row : rows)
    for (const auto& near : all.find(row, {}, "", rows.size())) {
      const auto& other = rows[static_cast<std::size_t>(near.id)];
      worst = std::max(worst, std::abs(near.cosine - std::inner_product(row.begin(), row.end(), other.begin(), 0.F)));
    }
  CHECK(worst < .005F);
}

TEST_CASE("entities weigh as much as they are rare") {
  Neighbours all;
  const std::vector<std::int64_t> common{1}, both{1, 2};
  for (std::int64_t id = 1; id <= 20; ++id) all.add(id, {}, id == 20 ? std::span(both) : std::span(common), "");
  const auto near = all.find({}, both, "", 5);
  CHECK(near.size() == 20);
  for (const auto& other : near) {
    CHECK(other.cosine == 0);
    CHECK(other.entities == doctest::Approx(other.id == 20 ? 1 : 0).epsilon(.01));
  }
}

TEST_CASE("the quantile of random pairs tells how near unrelated texts come") {
  std::minstd_rand random(3);
  Neighbours wide, narrow;
  for (std::int64_t id = 1; id <= 300; ++id) {
    wide.add(id, random_unit(random, 64, 0), {}, "");
    narrow.add(id, random_unit(random, 64, 2), {}, "");
  }
  CHECK(wide.cosine_quantile(.5) == doctest::Approx(0).epsilon(.05));
  CHECK(wide.cosine_quantile(.999) < .6);
  CHECK(narrow.cosine_quantile(.999) > .97);
  CHECK(narrow.cosine_quantile(.999) == narrow.cosine_quantile(.999));
  CHECK(Neighbours().cosine_quantile(.5) == 0);
}
