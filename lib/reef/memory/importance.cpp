#include "reef/memory/importance.h"

#include <algorithm>
#include <cmath>

#include "reef/core/error.h"
#include "reef/io/checksum.h"
#include "reef/memory/internal/band.h"
#include "reef/memory/internal/learned.h"
#include "reef/text/sentiment.h"
#include "reef/text/words.h"

namespace reef::memory {
namespace {

std::uint64_t hash(std::string_view text) {
  return io::xxh3({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// A message parted into what was said and what its pictures show.
struct Parted {
  std::string said;
  std::string shown;
};

Parted parted(std::string_view content) {
  constexpr std::string_view kImage = "[image:";
  Parted parts;
  while (!content.empty()) {
    const std::size_t start = content.find(kImage);
    const std::size_t end = start == std::string_view::npos ? start : content.find(']', start);
    parts.said += content.substr(0, end == std::string_view::npos ? content.size() : start);
    if (end == std::string_view::npos) break;
    parts.shown += content.substr(start + kImage.size(), end - start - kImage.size());
    parts.shown += '\n';
    content.remove_prefix(end + 1);
  }
  return parts;
}

std::vector<std::uint64_t> hashes(const Parted& parts, const std::vector<text::Word>& said) {
  std::vector<text::Word> all = said;
  if (!parts.shown.empty())
    for (text::Word& word : text::words(parts.shown)) all.push_back(std::move(word));
  std::vector<std::uint64_t> found;
  for (const std::string& term : text::terms(all)) found.push_back(hash(term));
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

ImportanceOptions importance_options(const tree::Config& config) {
  const auto number = [&](const char* key) { return config.number("system", std::string("memory.") + key); };
  ImportanceOptions options;
  options.emotion = number("weights.emotion");
  options.request = number("weights.request");
  options.novelty = number("weights.novelty");
  options.unlike = number("weights.unlike");
  options.reference = number("weights.reference");
  options.personal = number("weights.personal");
  options.answer = number("weights.answer");
  options.question = number("weights.question");
  options.greeting = number("weights.greeting");
  options.bias = number("weights.bias");
  options.discard = number("thresholds.discard");
  options.remember = number("thresholds.remember");
  options.second = number("thresholds.second");
  options.band = config.flag("system", "memory.band");
  if (options.discard > options.remember)
    throw Error(Errc::usage,
                config.value("system", "memory.thresholds.discard").origin +
                    ": memory.thresholds.discard is above memory.thresholds.remember",
                "what scores between the two is decided after a day");
  return options;
}

double model_term(double model) { return .4 * (model - .5); }

double second_score(double score, std::int64_t mentions, std::optional<double> model) {
  const double sum = score + .15 * std::min(1.0, static_cast<double>(mentions) / 2);
  return model ? std::clamp(sum + model_term(*model), 0.0, 1.0) : sum;
}

Importance::Importance(const ImportanceOptions& options)
    : options_(options), learned_(std::make_unique<internal::Learned>()), band_(std::make_unique<internal::Band>()) {}

Importance::Importance(const ImportanceOptions& options, io::Database& memories) : Importance(options) {
  learned_ = std::make_unique<internal::Learned>(memories);
  // A score of 0 is that of what was not scored: an empty message, a system's.
  auto logits = memories.prepare("SELECT logit FROM decisions WHERE score > 0 ORDER BY rank DESC LIMIT ?");
  logits.bind(1, static_cast<std::int64_t>(internal::Band::kKept));
  std::vector<double> newest_first;
  while (logits.step()) newest_first.push_back(logits.real(0));
  for (auto logit = newest_first.rbegin(); logit != newest_first.rend(); ++logit) band_->add(*logit);
}

Importance::~Importance() = default;

Scored Importance::score(const Turn& turn, double nearest, const std::optional<Turn>& previous) {
  const Parted parts = parted(turn.content);
  const std::vector<text::Word> said = text::words(parts.said);
  const text::Cues cues = text::find_cues(parts.said, said);
  Scored scored;
  scored.words = hashes(parts, said);
  scored.sentiment = text::sentiment(parts.said);
  const text::KnownName known = [&](std::string_view name) { return learned_->knows_name(hash(name)); };
  scored.names = text::find_names(parts.said, said, known);

  const auto n = static_cast<double>(learned_->messages());
  double mass = 0, unseen = 0;
  for (const std::uint64_t word : scored.words) {
    const auto df = static_cast<double>(learned_->messages_with(word));
    mass += std::log((n + 1.5) / (df + .5));
    if (df == 0) ++unseen;
    if (df <= std::max(2.0, .01 * n)) scored.rare.push_back(word);
  }
  if (!scored.words.empty()) unseen /= static_cast<double>(scored.words.size());
  const auto known_names = std::count_if(scored.names.begin(), scored.names.end(),
                                         [&](const text::Name& name) { return known(name.folded); });
  const auto up_to = [](double count, double most) { return std::min(1.0, count / most); };

  Terms& terms = scored.terms;
  terms.emotion = std::abs(scored.sentiment);
  terms.asked = cues.asked;
  terms.request = cues.asked || cues.personal ? 1 : 0;
  terms.novelty = .6 * up_to(mass, 60) + .4 * unseen;
  terms.nearest = std::clamp(nearest, 0.0, 1.0);
  terms.reference = (cues.past ? .5 : 0) + .5 * up_to(static_cast<double>(known_names), 2);
  terms.personal = ((cues.first_person ? 1 : 0) + up_to(text::count_dates(said), 3) +
                    up_to(static_cast<double>(scored.names.size()), 3)) /
                   3;
  terms.answer = previous && previous->content.find('?') != std::string_view::npos && previous->speaker != turn.speaker;
  terms.question = cues.question;
  terms.greeting = cues.greeting;

  const auto flag = [](bool is) { return is ? 1.0 : 0.0; };
  scored.logit = options_.emotion * terms.emotion + options_.request * terms.request +
                 options_.novelty * terms.novelty + options_.unlike * (1 - terms.nearest) +
                 options_.reference * terms.reference + options_.personal * terms.personal +
                 options_.answer * flag(terms.answer) + options_.question * flag(terms.question) +
                 options_.greeting * flag(terms.greeting) + options_.bias;
  if (options_.band) scored.shift = band_->shift();
  scored.score = 1 / (1 + std::exp(-(scored.logit - scored.shift)));
  if (terms.asked) scored.score = std::max(scored.score, kAskedScore);

  learned_->add_message();
  for (const std::uint64_t word : scored.words) learned_->add_word(word);
  for (const text::Name& name : scored.names) learned_->add_name(hash(name.folded));
  band_->add(scored.logit);
  return scored;
}

std::vector<std::uint64_t> Importance::word_hashes(std::string_view content) {
  const Parted parts = parted(content);
  return hashes(parts, text::words(parts.said));
}

double Importance::sentiment(std::string_view content) { return text::sentiment(parted(content).said); }

std::vector<text::Name> Importance::names(std::string_view content) {
  const Parted parts = parted(content);
  return text::find_names(parts.said, text::words(parts.said),
                          [&](std::string_view name) { return learned_->knows_name(hash(name)); });
}

void Importance::save() { learned_->save(); }

}  // namespace reef::memory
