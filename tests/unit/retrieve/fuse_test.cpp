#include "reef/retrieve/fuse.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace reef;
using namespace reef::retrieve;

namespace {

/// A layer of given rows: idf times count for words, a fixed cosine.
struct FixedLayer : Layer {
  struct Row {
    double count;
    std::optional<double> cosine;
  };
  std::string name_ = "fixed";
  double rows_in_all;
  double rows_with_term;
  std::vector<Row> rows;
  std::set<std::int64_t> left_out;

  FixedLayer(double all, double with, std::vector<Row> given)
      : rows_in_all(all), rows_with_term(with), rows(std::move(given)) {}
  const std::string& name() const override { return name_; }
  std::string space = "one";
  std::string vector_space() const override { return space; }
  void ask(const Question&) override {}
  TermCounts term_counts() const override { return {rows_in_all, {rows_with_term}}; }
  Candidate at(std::size_t i, std::span<const double> idf) const {
    return {static_cast<std::int64_t>(i), rows[i].count * idf[0], rows[i].cosine};
  }
  std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t count) override {
    std::vector<Candidate> found;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].count > 0 && !left_out.contains(static_cast<std::int64_t>(i))) found.push_back(at(i, idf));
    return best(std::move(found), count, [](const Candidate& a, const Candidate& b) { return a.bm25 > b.bm25; });
  }
  std::vector<Candidate> best_by_vector(std::size_t count) override {
    std::vector<Candidate> found;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].cosine && !left_out.contains(static_cast<std::int64_t>(i)))
        found.push_back({static_cast<std::int64_t>(i), 0, rows[i].cosine});
    return best(std::move(found), count, [](const Candidate& a, const Candidate& b) { return a.cosine > b.cosine; });
  }
  template <typename Better>
  static std::vector<Candidate> best(std::vector<Candidate> found, std::size_t count, Better better) {
    std::sort(found.begin(), found.end(), better);
    found.resize(std::min(count, found.size()));
    return found;
  }
  void complete(std::span<Candidate> candidates, std::span<const double> idf) override {
    for (Candidate& candidate : candidates) candidate = at(static_cast<std::size_t>(candidate.id), idf);
  }
  void leave_out(std::span<const std::int64_t> ids, bool) override { left_out.insert(ids.begin(), ids.end()); }
  std::optional<Passage> fetch(std::int64_t) override { return std::nullopt; }
};

std::vector<Scored> fuse(std::vector<std::shared_ptr<Layer>> layers, FuseOptions options = {}) {
  Question question;
  question.terms = {"word"};
  const std::vector<double> priors(layers.size(), 1.0);
  return Fusion(layers, priors, question, options).search();
}

}  // namespace

TEST_CASE("on one layer a hybrid score is half BM25 over its largest, half min-max cosine") {
  std::vector<std::shared_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(1000, 3, std::vector<FixedLayer::Row>{{2, .9}, {1, .5}, {0, .1}}));
  const auto scored = fuse(std::move(layers));
  REQUIRE(scored.size() == 3);
  CHECK(scored[0].score == doctest::Approx(1.0));
  CHECK(scored[1].score == doctest::Approx(.5 * .5 + .5 * .5));
  CHECK(scored[2].score == doctest::Approx(0));
}

TEST_CASE("the best of an unrelated small layer does not count as much as the answer") {
  std::vector<std::shared_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(5000, 20, std::vector<FixedLayer::Row>{{3, .8}, {1, .4}, {0, .2}}));
  layers.push_back(std::make_unique<FixedLayer>(3, 0, std::vector<FixedLayer::Row>{{0, .15}, {0, .12}}));
  const auto scored = fuse(std::move(layers));
  CHECK(scored[0].layer == 0);
  for (const Scored& each : scored)
    if (each.layer == 1) CHECK(each.score < .1);
}

TEST_CASE("a layer without vectors is found by its words") {
  std::vector<std::shared_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{0, .3}, {0, .2}}));
  layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{2, std::nullopt}}));
  const auto scored = fuse(std::move(layers));
  const auto found = std::find_if(scored.begin(), scored.end(), [](const Scored& s) { return s.layer == 1; });
  REQUIRE(found != scored.end());
  CHECK(found->score == doctest::Approx(.5));
}

TEST_CASE("priors weigh layers") {
  std::vector<std::shared_ptr<Layer>> layers;
  for (int i = 0; i < 2; ++i)
    layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{2, .9}, {0, .1}}));
  Question question;
  question.terms = {"word"};
  const std::vector<double> priors{.5, 1.0};
  const FuseOptions options;
  const auto scored = Fusion(layers, priors, question, options).search();
  CHECK(scored[0].layer == 1);
  CHECK(scored[1].score == doctest::Approx(.5));
}

TEST_CASE("asking again keeps the scale of the first round, and says whether there may be more") {
  std::vector<std::shared_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(
      1000, 5, std::vector<FixedLayer::Row>{{4, .9}, {2, .5}, {1, .4}, {1, .7}, {0, .2}, {0, .3}}));
  Question question;
  question.terms = {"word"};
  const std::vector<double> priors{1};
  FuseOptions options;
  options.candidates = 2;
  Fusion fusion(layers, priors, question, options);
  const auto first = fusion.search();  // rows 0 and 1 by words, 0 and 3 by vector: cosines of .5 to .9
  REQUIRE(first.size() == 3);
  CHECK(first[0].score == doctest::Approx(1));
  CHECK(fusion.was_cut());
  for (const Scored& scored : first) layers[0]->leave_out(std::vector{scored.id}, false);
  const auto second = fusion.search(8);
  REQUIRE(second.size() == 3);
  CHECK(!fusion.was_cut());
  CHECK(second[0].id == 2);
  CHECK(second[0].score == doctest::Approx(.5 * .25));  // a quarter of the first round's largest BM25
  CHECK(second[0].score <= first.back().score);
  CHECK(second[1].id == 5);  // both score 0: the cosine decides
  CHECK(second[2].id == 4);
}

TEST_CASE("cosines of two models are put on one scale by a low and high for each") {
  std::vector<std::shared_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{0, .9}, {0, .7}}));
  auto other = std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{0, .4}, {0, .2}, {0, .3}});
  other->space = "two";
  layers.push_back(std::move(other));
  for (const auto mode : {Mode::hybrid, Mode::dense}) {
    std::vector<std::shared_ptr<Layer>> copies;
    for (const auto& layer : layers)
      copies.push_back(std::make_unique<FixedLayer>(dynamic_cast<const FixedLayer&>(*layer)));
    const auto scored = fuse(std::move(copies), {.mode = mode});
    REQUIRE(scored.size() == 5);
    const double full = mode == Mode::dense ? 1 : .5;
    for (const Scored& each : scored) {
      const bool best = (each.layer == 0 && each.id == 0) || (each.layer == 1 && each.id == 0);
      const bool middle = each.layer == 1 && each.id == 2;
      CHECK(each.score == doctest::Approx(best ? full : middle ? full / 2 : 0));
    }
  }
}
