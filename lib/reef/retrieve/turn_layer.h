#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/retrieve/layer.h"
#include "reef/session/turn_map.h"
#include "reef/text/full_text.h"

namespace reef::retrieve {

/// Weights of what stands around a turn, and of who said it.
struct TurnWeights {
  double neighbour_words = .4;    ///< of a word in the turn before or behind, beside one in the turn itself
  double neighbour_vectors = .5;  ///< of the vectors of both, in a turn's own
  double speaker = .1;            ///< added to the score when the question names the turn's speaker
  double importance = 0;          ///< of a memory
};

/// Turns of conversations, or memories made of them: what a turn is about often stands in its neighbours. BM25 counts
/// their words as if they stood in a second, lighter column; the vector compared is v + w (v before + v behind), of
/// unit length; names of speakers are taken out of what is embedded of the question, where they drown the rest, and
/// raise the turns of that speaker instead. Neither neighbours' words nor sums of vectors are stored.
class TurnLayer : public Layer {
 public:
  /// Unit vectors of turns, by their positions in the map; turns without one are searched by words alone.
  struct Vectors {
    std::string space;  ///< Layer::vector_space(); empty: there are none
    std::function<std::vector<std::uint32_t>(std::span<const float> query, std::size_t k)> nearest;
    std::function<std::span<const float>(std::uint32_t position)> of;  ///< empty: none
  };
  /// What a layer of this kind stands on.
  struct Source {
    std::string name;
    const session::TurnMap* map = nullptr;
    Vectors vectors;
    /// Postings of terms by turn id.
    std::function<std::vector<text::Postings>(std::span<const std::string>)> postings;
    std::function<std::optional<Passage>(std::int64_t)> fetch;
  };

  TurnLayer(Source source, TurnWeights weights);

  const std::string& name() const override { return source_.name; }
  std::string vector_space() const override { return source_.vectors.space; }
  std::string dense_text(const std::string& question) override;
  void use_vector(std::span<const float> vector) override { vector_.assign(vector.begin(), vector.end()); }
  void ask(const Question& question) override;
  TermCounts term_counts() const override;
  std::vector<Candidate> best_by_words(std::span<const double> idf, std::size_t count) override;
  std::vector<Candidate> best_by_vector(std::size_t count) override;
  void complete(std::span<Candidate> candidates, std::span<const double> idf) override;
  double bonus(std::int64_t id) const override;
  void leave_out(std::span<const std::int64_t> ids, bool whole_documents) override;
  std::optional<Passage> fetch(std::int64_t id) override { return source_.fetch(id); }

 private:
  /// Where one term occurs: positions ascending, and how much it counts there.
  struct Weighted {
    std::vector<std::uint32_t> positions;
    std::vector<float> counts;
  };
  const session::Turn& turn(std::uint32_t position) const { return (*source_.map)[position]; }
  Weighted spread(const text::Postings& postings) const;
  std::uint32_t words_around(std::uint32_t position) const;
  double weight(double count, std::uint32_t position, double idf) const;
  std::optional<double> cosine(std::uint32_t position) const;

  Source source_;
  TurnWeights weights_;
  double mean_words_ = 0;
  std::int64_t rows_ = 0;
  std::vector<float> vector_;
  std::vector<Weighted> terms_;
  std::uint64_t asked_ = 0;
  std::vector<std::string> speakers_;  ///< those of the map that some turn is of; the others are empty
  std::vector<bool> named_;            ///< speakers whom the question names; [0] is nobody
  std::vector<std::uint32_t> left_out_;
};

/// Which speakers a question names: by the whole name, case, accents and possessive aside, or by a word of it that the
/// question writes with a capital letter ("game" is not the Game Master). Words of every question ("user", "Will") name
/// nobody, but within a name.
std::vector<bool> named_speakers(std::string_view question, std::span<const std::string> speakers);
/// The question without those names; as it is where nothing else would be left.
std::string without_names(std::string_view question, std::span<const std::string> speakers);

}  // namespace reef::retrieve
