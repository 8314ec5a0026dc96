#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reef/io/sqlite.h"
#include "reef/text/entities.h"
#include "reef/tree/config.h"

namespace reef::memory {

/// memory.weights, memory.thresholds and memory.band of system.yaml.
///
/// The defaults were fitted to which turns of long conversations later answer questions (LoCoMo; AUC .83).
struct ImportanceOptions {
  double emotion = .25, request = .5, novelty = 3, unlike = .75, reference = .3, personal = 2.9, answer = 1,
         question = -.4, greeting = -.25, bias = -3.2;
  double discard = .3, remember = .7, second = .5;  ///< 0 <= discard <= remember <= 1
  bool band = true;
};
/// Error{usage} when memory.thresholds.discard is above remember.
ImportanceOptions importance_options(const tree::Config& config);

/// A message as it is scored. Pictures stand in it as " [image: what they show]".
struct Turn {
  std::string_view speaker;  ///< whose it is; the role where nobody is named
  std::string_view content;
};

/// What a score is made of, each 0 to 1.
struct Terms {
  double emotion = 0;    ///< |VADER's compound score|
  double request = 0;    ///< 1: asks to remember, or states a personal fact
  double novelty = 0;    ///< .6 min(1, sum of ln((n+1.5)/(df+.5)) / 60) + .4 share of words not seen before
  double nearest = 0;    ///< cosine to the nearest memory
  double reference = 0;  ///< .5 words of reference to the past + .5 min(1, known names / 2)
  double personal = 0;   ///< mean of: first person, min(1, dates / 3), min(1, names / 3)
  bool answer = false;   ///< the turn before it, another speaker's, has a "?"
  bool question = false;
  bool greeting = false;
  bool asked = false;  ///< asks to remember: never scores below .9
};

struct Scored {
  Terms terms;
  double logit = 0;  ///< the weighted sum
  double shift = 0;  ///< what the band takes from it
  double score = 0;  ///< sigmoid(logit - shift)
  double sentiment = 0;
  std::vector<std::uint64_t> words;  ///< hashes of its terms, ascending
  std::vector<std::uint64_t> rare;   ///< those in at most max(2, 1 %) of the messages before
  std::vector<text::Name> names;
};

/// What asks to be remembered has no less.
inline constexpr double kAskedScore = .9;

/// The second score, after a day: score + .15 min(1, mentions / 2), and where a language model gave one from 0 to 1,
/// that sum + .4 (model - .5), from 0 to 1: the model moves it by .2 at most. A message that waits is no memory yet, so
/// that nobody can have found it: accesses have no part in it.
double second_score(double score, std::int64_t mentions, std::optional<double> model = {});
/// The model's term of it.
double model_term(double model);

namespace internal {
class Learned;
class Band;
}  // namespace internal

/// Scores the messages of one persona in their order; each is measured by what stood before it, so that one run over
/// all of them and many over parts give the same scores.
class Importance {
 public:
  /// Knows nothing yet, and keeps nothing.
  explicit Importance(const ImportanceOptions& options);
  /// Goes on where the last save() ended: term_counts, known_entities, progress and decisions of memories.sqlite are
  /// read as they are needed.
  Importance(const ImportanceOptions& options, io::Database& memories);
  ~Importance();

  /// nearest: cosine to the nearest memory, 0 when there is none. previous: what stands before it in its session.
  Scored score(const Turn& turn, double nearest, const std::optional<Turn>& previous = {});
  /// The hashes that score() would give, for messages scored in another run.
  static std::vector<std::uint64_t> word_hashes(std::string_view content);
  static double sentiment(std::string_view content);
  /// Names by what is known now; nothing is learned.
  std::vector<text::Name> names(std::string_view content);

  /// Writes what changed since the last save, in the caller's transaction. The logits are saved with the decisions.
  void save();

 private:
  ImportanceOptions options_;
  std::unique_ptr<internal::Learned> learned_;
  std::unique_ptr<internal::Band> band_;
};

}  // namespace reef::memory
