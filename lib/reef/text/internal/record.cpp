#include "reef/text/internal/record.h"

#include <fmt/format.h>

#include <array>

#include "reef/core/error.h"
#include "reef/core/time.h"
#include "reef/io/checksum.h"
#include "reef/text/internal/scanner.h"
#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

/// RFC 3339, or empty: dates in corpora are written in every way there is, and a document without
/// a date is still a document.
std::string time_or_empty(const std::string& text) {
  if (text.empty()) return {};
  try {
    return to_rfc3339(parse_time(text));
  } catch (const Error&) {
    return {};
  }
}

bool filled(const std::optional<std::string>& text) { return text && !is_blank(*text); }

}  // namespace

RecordBuilder::Field RecordBuilder::field_of(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Field>, 9> kFields = {{{"id", Field::id},
                                                                                 {"title", Field::title},
                                                                                 {"text", Field::text},
                                                                                 {"content", Field::content},
                                                                                 {"body", Field::body},
                                                                                 {"contents", Field::contents},
                                                                                 {"tags", Field::tags},
                                                                                 {"created", Field::created},
                                                                                 {"date", Field::date}}};
  for (const auto& [known, field] : kFields) {
    if (known == name) return field;
  }
  return Field::none;
}

void RecordBuilder::key(std::string_view name) {
  if (depth_ == 1) field_ = field_of(name);
}

void RecordBuilder::scalar(std::string&& value, bool is_string) {
  if (field_ == Field::tags && (depth_ == 1 || depth_ == 2)) {
    if (!is_blank(value)) tags_.push_back(std::move(value));
    return;
  }
  if (depth_ != 1) return;
  const auto keep = [&](std::optional<std::string>& into) { into = std::move(value); };
  switch (field_) {
    case Field::id:
      return keep(id_);
    case Field::title:
      return keep(title_);
    case Field::text:
      return is_string ? keep(text_) : void();
    case Field::content:
      return is_string ? keep(content_) : void();
    case Field::body:
      return is_string ? keep(body_) : void();
    case Field::contents:
      return is_string ? keep(contents_) : void();
    case Field::created:
    case Field::date:
      if (!is_string) value.insert(0, "@");  // seconds since the epoch
      return keep(field_ == Field::date ? date_ : created_);
    case Field::tags:
    case Field::none:
      return;
  }
}

std::pair<std::optional<Document>, std::string> RecordBuilder::take() {
  std::optional<std::string>* text = nullptr;
  for (auto* candidate : {&text_, &content_, &body_, &contents_}) {
    if (!text && *candidate) text = candidate;
  }
  if (!text) return {std::nullopt, "it has no text (a field text, content, body or contents)"};
  // Corpora hold entries of which only the title is known; the title is then what can be found.
  if (!filled(*text) && filled(title_)) *text = *title_;
  if (!filled(*text)) return {std::nullopt, "its text is empty"};
  Document document = scan_whole(std::move(**text), *make_text_scanner());
  if (title_) document.title = tidy_title(*title_);
  if (id_) document.id = std::string(trimmed(*id_));
  document.tags = std::move(tags_);
  document.created = time_or_empty(created_.value_or(""));
  if (document.created.empty()) document.created = time_or_empty(date_.value_or(""));
  if (document.created.empty()) document.unread_date = trimmed(created_.value_or(date_.value_or("")));
  return {std::move(document), {}};
}

std::string json_fault(std::string_view what, std::size_t position) {
  // "... syntax error while parsing value - unexpected end of input; expected '}'"
  if (const std::size_t dash = what.find(" - "); dash != std::string_view::npos) what.remove_prefix(dash + 3);
  what = what.substr(0, what.find(';'));
  if (what.starts_with("unexpected end of input") || what.find("missing closing quote") != std::string_view::npos) {
    return fmt::format("cut off at byte {}", position);
  }
  return fmt::format("not JSON at byte {}: {}", position, shortened(what, 100));
}

SeenIds::Slot& SeenIds::slot_of(std::uint64_t hash) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = static_cast<std::size_t>(hash) & mask;
  while (slots_[at].place != 0 && slots_[at].hash != hash) at = (at + 1) & mask;
  return slots_[at];
}

std::optional<std::uint64_t> SeenIds::find_or_add(std::string_view id, std::uint64_t place) {
  const std::uint64_t hash = io::xxh3({reinterpret_cast<const std::uint8_t*>(id.data()), id.size()});
  Slot& slot = slot_of(hash);
  if (slot.place != 0) return slot.place;
  slot = {hash, place};
  if (++used_ * 4 > slots_.size() * 3) {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& entry : old) {
      if (entry.place != 0) slot_of(entry.hash) = entry;
    }
  }
  return std::nullopt;
}

}  // namespace reef::text::internal
