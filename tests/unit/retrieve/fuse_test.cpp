#include "reef/retrieve/fuse.h"

#include <doctest/doctest.h>

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

  FixedLayer(double all, double with, std::vector<Row> given)
      : rows_in_all(all), rows_with_term(with), rows(std::move(given)) {}
  const std::string& name() const override { return name_; }
  void ask(const Question&) override {}
  TermCounts term_counts() const override { return {rows_in_all, {rows_with_term}}; }
  Candidate at(std::size_t i, std::span<const double> idf) const {
    return {static_cast<std::int64_t>(i), rows[i].count * idf[0], rows[i].cosine};
  }
  std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t) override {
    std::vector<Candidate> found;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].count > 0) found.push_back(at(i, idf));
    return found;
  }
  std::vector<Candidate> best_by_vector(std::size_t) override {
    std::vector<Candidate> found;
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i].cosine) found.push_back({static_cast<std::int64_t>(i), 0, rows[i].cosine});
    return found;
  }
  void complete(std::span<Candidate> candidates, std::span<const double> idf) override {
    for (Candidate& candidate : candidates) candidate = at(static_cast<std::size_t>(candidate.id), idf);
  }
  std::optional<Passage> fetch(std::int64_t) override { return std::nullopt; }
};

std::vector<Scored> fuse(std::vector<std::unique_ptr<Layer>> layers, FuseOptions options = {}) {
  Question question;
  question.terms = {"word"};
  return search_and_fuse(layers, std::vector<double>(layers.size(), 1.0), question, options);
}

}  // namespace

TEST_CASE("on one layer a hybrid score is half BM25 over its largest, half min-max cosine") {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(1000, 3, std::vector<FixedLayer::Row>{{2, .9}, {1, .5}, {0, .1}}));
  const auto scored = fuse(std::move(layers));
  REQUIRE(scored.size() == 3);
  CHECK(scored[0].score == doctest::Approx(1.0));
  CHECK(scored[1].score == doctest::Approx(.5 * .5 + .5 * .5));
  CHECK(scored[2].score == doctest::Approx(0));
}

TEST_CASE("the best of an unrelated small layer does not count as much as the answer") {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(5000, 20, std::vector<FixedLayer::Row>{{3, .8}, {1, .4}, {0, .2}}));
  layers.push_back(std::make_unique<FixedLayer>(3, 0, std::vector<FixedLayer::Row>{{0, .15}, {0, .12}}));
  const auto scored = fuse(std::move(layers));
  CHECK(scored[0].layer == 0);
  for (const Scored& each : scored)
    if (each.layer == 1) CHECK(each.score < .1);
}

TEST_CASE("a layer without vectors is found by its words") {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{0, .3}, {0, .2}}));
  layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{2, std::nullopt}}));
  const auto scored = fuse(std::move(layers));
  const auto found = std::find_if(scored.begin(), scored.end(), [](const Scored& s) { return s.layer == 1; });
  REQUIRE(found != scored.end());
  CHECK(found->score == doctest::Approx(.5));
}

TEST_CASE("priors weigh layers") {
  std::vector<std::unique_ptr<Layer>> layers;
  for (int i = 0; i < 2; ++i)
    layers.push_back(std::make_unique<FixedLayer>(500, 2, std::vector<FixedLayer::Row>{{2, .9}, {0, .1}}));
  Question question;
  question.terms = {"word"};
  const auto scored = search_and_fuse(layers, {.5, 1.0}, question, {});
  CHECK(scored[0].layer == 1);
  CHECK(scored[1].score == doctest::Approx(.5));
}
