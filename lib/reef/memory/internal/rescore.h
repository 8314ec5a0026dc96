#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "reef/memory/internal/buffer.h"
#include "reef/memory/internal/model_protocol.h"
#include "reef/memory/internal/undecided.h"
#include "reef/memory/language_model.h"
#include "reef/memory/store.h"

namespace reef::memory::internal {

/// Asks the language model about messages that wait in the buffer.
class Rescore {
 public:
  static constexpr std::size_t kMostAsked = 16;  ///< with 2,000 bytes of each and 500 of the turn before: 40 KB

  Rescore(Store& store, Undecided& undecided, LanguageModel& model, LanguageModelUse& use)
      : store_(store), undecided_(undecided), model_(model), use_(use) {}

  /// About the first `count` of those whose day is over at `until`. A request is about many: those are among them whose
  /// day is over at `end`. The caller has no transaction open.
  void ask_about_due(Buffer& buffer, Time until, std::size_t count, Time end);

 private:
  void ask_from(Buffer::Entries& buffer, Buffer::Entries::iterator first, Time end);
  /// One request. nullopt for what was not answered, and for what is not to be asked about: removed, unreadable, empty,
  /// or forgotten.
  std::vector<std::optional<Verdict>> ask(std::span<const std::int64_t> messages);
  std::optional<Told> told(std::int64_t message);

  Store& store_;
  Undecided& undecided_;
  LanguageModel& model_;
  LanguageModelUse& use_;
};

}  // namespace reef::memory::internal
