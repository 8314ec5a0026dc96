#include "reef/memory/internal/rescore.h"

#include <utility>

namespace reef::memory::internal {

void Rescore::ask_about_due(Buffer& buffer, Time until, std::size_t count, Time end) {
  std::size_t due = 0;
  Buffer::Entries& entries = buffer.entries();
  for (auto at = entries.begin(); at != entries.end() && at->first + Buffer::kDay <= until && due < count; ++at, ++due)
    if (!at->second.was_asked) ask_from(entries, at, end);
}

void Rescore::ask_from(Buffer::Entries& buffer, Buffer::Entries::iterator at, Time end) {
  std::vector<Buffered*> entries;
  std::vector<std::int64_t> messages;
  for (; at != buffer.end() && at->first + Buffer::kDay <= end && messages.size() < kMostAsked; ++at) {
    Buffered& entry = at->second;
    // Who asks to remember is not doubted.
    if (std::exchange(entry.was_asked, true) || entry.score >= kAskedScore) continue;
    entries.push_back(&entry);
    messages.push_back(entry.message);
  }
  auto verdicts = ask(messages);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i]->verdict = std::move(verdicts[i]);
}

std::optional<Told> Rescore::told(std::int64_t id) {
  const auto message = undecided_.glance(id);
  if (!message || !says_something(*message) || store_.is_forgotten(id, speaker_of(*message), message->content))
    return std::nullopt;
  Told told;
  told.speaker = speaker_of(*message);
  told.content = message->content;
  try {
    const auto before = undecided_.before(*message);
    if (before && !store_.is_forgotten(before->id, speaker_of(*before), before->content)) {
      told.speaker_before = speaker_of(*before);
      told.content_before = before->content;
    }
  } catch (const Error& error) {
    if (!is_out_of_reach(error)) throw;  // it is asked about without
  }
  return told;
}

std::vector<std::optional<Verdict>> Rescore::ask(std::span<const std::int64_t> messages) {
  std::vector<std::optional<Verdict>> verdicts(messages.size());
  std::vector<Told> asked;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (auto one = told(messages[i])) {
      asked.push_back(*std::move(one));
      places.push_back(i);
    }
  if (asked.empty()) return verdicts;
  use_.fell_back += asked.size();
  if (!model_.is_usable()) return verdicts;
  use_.asked += asked.size();
  const auto answer =
      model_.ask(store_.folder(), [&](bool with_schema) { return scoring_request(model_.name(), asked, with_schema); });
  if (!answer) return verdicts;
  Verdicts read = read_verdicts(*answer, asked.size());
  model_.judge(read.usable() > 0, read.fault);
  use_.answered += read.usable();
  use_.fell_back -= read.usable();
  for (std::size_t i = 0; i < places.size(); ++i) verdicts[places[i]] = std::move(read.of[i]);
  return verdicts;
}

}  // namespace reef::memory::internal
