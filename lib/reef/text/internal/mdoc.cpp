#include <algorithm>
#include <array>

#include "reef/text/internal/roff.h"

namespace reef::text::internal {
namespace {

struct Enclosure {
  std::string_view macro;
  std::string_view open;
  std::string_view close;
};

constexpr auto kEnclosures = std::to_array<Enclosure>({{"Op", "[", "]"},
                                                       {"Pq", "(", ")"},
                                                       {"Bq", "[", "]"},
                                                       {"Brq", "{", "}"},
                                                       {"Aq", "<", ">"},
                                                       {"Dq", "“", "”"},
                                                       {"Sq", "‘", "’"},
                                                       {"Ql", "‘", "’"},
                                                       {"Qq", "\"", "\""}});

/// Enclosures of several lines: the opening macro, the closing one.
constexpr auto kMarks = std::to_array<Enclosure>({{"Oo", "[", ""},
                                                  {"Oc", "", "]"},
                                                  {"Po", "(", ""},
                                                  {"Pc", "", ")"},
                                                  {"Bo", "[", ""},
                                                  {"Bc", "", "]"},
                                                  {"Bro", "{", ""},
                                                  {"Brc", "", "}"},
                                                  {"Ao", "<", ""},
                                                  {"Ac", "", ">"},
                                                  {"Do", "“", ""},
                                                  {"Dc", "", "”"},
                                                  {"So", "‘", ""},
                                                  {"Sc", "", "’"},
                                                  {"Qo", "\"", ""},
                                                  {"Qc", "", "\""}});

constexpr auto kSystems = std::to_array<std::pair<std::string_view, std::string_view>>({{"Ox", "OpenBSD"},
                                                                                        {"Nx", "NetBSD"},
                                                                                        {"Fx", "FreeBSD"},
                                                                                        {"Dx", "DragonFly"},
                                                                                        {"Bx", "BSD"},
                                                                                        {"At", "AT&T UNIX"},
                                                                                        {"Ux", "UNIX"}});

/// Macros that only set a font on their arguments.
constexpr auto kPlain = std::to_array<std::string_view>(
    {"Ad", "An", "Ar", "Cd", "Cm", "Dv", "Em", "Er", "Ev", "Fa", "Fd", "Fl", "Fn", "Ft",
     "Ic", "In", "Li", "Lk", "Lb", "Ms", "Mt", "Nd", "Nm", "No", "Ns", "Pa", "Pf", "St",
     "Sx", "Sy", "Ta", "Tn", "Va", "Vt", "Xr", "Xo", "Xc", "Ap", "Fo", "Fc", "Eo", "Ec"});

/// No page nests deeper; a hostile one must not recurse at will.
constexpr int kDepth = 16;

bool closes(std::string_view word) {
  return word.size() == 1 && std::string_view(".,:;)]?!").find(word[0]) != std::string_view::npos;
}
bool opens(std::string_view word) { return word == "(" || word == "["; }

}  // namespace

bool is_mdoc_word_macro(std::string_view name) {
  const auto names = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const Enclosure& e) { return e.macro == name; });
  };
  return std::find(kPlain.begin(), kPlain.end(), name) != kPlain.end() || names(kEnclosures) || names(kMarks) ||
         std::any_of(kSystems.begin(), kSystems.end(), [&](const auto& system) { return system.first == name; });
}

void MdocWords::word(std::string_view text) {
  if (text.empty()) return;
  if (!attach_ && !out_.empty() && !closes(text)) out_ += ' ';
  out_ += text;
  attach_ = opens(text);
}

/// The words up to the next macro, each with `prefix`; `absent` stands in for none.
void MdocWords::arguments(const std::vector<std::string>& words, std::size_t& at, std::string_view prefix,
                          std::string_view absent) {
  bool any = false;
  while (at < words.size() && !is_mdoc_word_macro(words[at])) {
    if (!any && closes(words[at])) break;
    const bool mark = closes(words[at]) || opens(words[at]) || words[at] == "|";
    word(mark ? words[at] : std::string(prefix) + words[at]);
    any = any || !mark;
    ++at;
  }
  if (!any) word(absent);
}

/// Everything up to the punctuation at the end of the line.
void MdocWords::enclosed(const std::vector<std::string>& words, std::size_t& at, std::string_view open,
                         std::string_view close) {
  std::size_t end = words.size();
  while (end > at && closes(words[end - 1])) --end;
  word(open);
  attach_ = true;
  const std::vector<std::string> inside(words.begin() + static_cast<std::ptrdiff_t>(at),
                                        words.begin() + static_cast<std::ptrdiff_t>(end));
  ++depth_;
  for (std::size_t i = 0; i < inside.size();) macro(inside, i);
  --depth_;
  out_ += close;
  attach_ = false;
  at = end;
}

void MdocWords::macro(const std::vector<std::string>& words, std::size_t& at) {
  const std::string& kind = words[at++];
  for (const Enclosure& e : kEnclosures) {
    if (e.macro == kind && depth_ < kDepth) return enclosed(words, at, e.open, e.close);
  }
  for (const Enclosure& mark : kMarks) {
    if (mark.macro != kind) continue;
    if (!mark.open.empty()) {
      word(mark.open);
      attach_ = true;
    } else {
      out_ += mark.close;
      attach_ = false;
    }
    return;
  }
  for (const auto& [known, system] : kSystems) {
    if (known == kind) return word(system);
  }
  const bool has_next = at < words.size();
  if (kind == "Fl") {
    if (has_next && is_mdoc_word_macro(words[at])) {
      word("-");
      attach_ = words[at] == "Fl" || words[at] == "Ns";
    } else {
      arguments(words, at, "-", "-");
    }
  } else if (kind == "Ar") {
    arguments(words, at, "", "file ...");
  } else if (kind == "Nm") {
    if (name.empty() && has_next && !is_mdoc_word_macro(words[at])) name = words[at];
    arguments(words, at, "", name);
  } else if (kind == "Nd") {
    word("-");
    arguments(words, at, "", "");
  } else if (kind == "Ns") {
    attach_ = true;
  } else if (kind == "Ap") {
    out_ += '\'';
    attach_ = true;
  } else if (kind == "Pf" && has_next) {
    word(words[at++]);
    attach_ = true;
  } else if ((kind == "Xr" || kind == "Fn" || kind == "Fo") && has_next) {
    std::string call = words[at++] + "(";
    for (bool first = true; at < words.size() && !closes(words[at]) && !is_mdoc_word_macro(words[at]); first = false) {
      call.append(first ? "" : ", ").append(words[at++]);
    }
    word(call + (kind == "Fo" ? "" : ")"));
    attach_ = kind == "Fo";
  } else if (kind == "Fc") {
    out_ += ')';
  } else if (kind == "In" && has_next) {
    word("#include <" + words[at++] + ">");
  } else if (is_mdoc_word_macro(kind)) {
    arguments(words, at, "", "");
  } else {
    word(kind);
  }
}

std::string MdocWords::render(const std::vector<std::string>& words) {
  out_.clear();
  attach_ = true;
  for (std::size_t at = 0; at < words.size();) macro(words, at);
  return std::move(out_);
}

}  // namespace reef::text::internal
