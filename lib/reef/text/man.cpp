#include <fmt/format.h>

#include <utility>

#include "reef/text/builder.h"
#include "reef/text/internal/roff.h"
#include "reef/text/internal/scanner.h"
#include "reef/text/internal/strings.h"

namespace reef::text::internal {
namespace {

/// Fills the lines of a manual page into paragraphs. Fonts, indentation and page layout are
/// nothing that a search needs; headings, tagged paragraphs, examples and tables are.
class ManRenderer {
 public:
  explicit ManRenderer(std::string_view source) : source_(source) {}

  Document render() {
    while (auto line = source_.next()) {
      if (in_table_) {
        table_line(*line);
      } else if (line->macro.empty()) {
        text(line->text, line->glued);
      } else if (!man_macro(line->macro, line->args) && !mdoc_macro(line->macro, line->args)) {
        word_macro(line->macro, line->args);
      }
    }
    flush();
    builder_.title(page_name_);
    return builder_.take();
  }

 private:
  using Args = std::vector<std::string>;

  static std::string join(const Args& args, std::string_view separator) {
    return fmt::format("{}", fmt::join(args, separator));
  }

  void text(std::string_view words, bool glued = false) {
    if (heading_level_ > 0) {
      if (!is_blank(words)) heading(std::exchange(heading_level_, 0), words);
      return;
    }
    if (verbatim_) {
      body_.append(words).append(glued ? "" : "\n");
      return;
    }
    if (tag_wanted_) {
      tag_.append(tag_.empty() ? "" : ", ").append(trimmed(words));
      tag_wanted_ = false;
      return;
    }
    if (is_blank(words)) return flush();
    if (!body_.empty() && !attach_ && body_.back() != '\n') body_ += ' ';
    body_ += trimmed(words);
    attach_ = glued;
  }

  void heading(int level, std::string_view words) {
    flush();
    section_ = level == 1 ? collapsed(words) : section_;
    builder_.heading(level, words);
  }

  /// The paragraph, tagged paragraph or example up to here becomes a block.
  void flush() {
    if (verbatim_) {
      builder_.verbatim(body_);
    } else if (tag_.empty()) {
      if (equal_ignoring_case(section_, "NAME")) builder_.title(body_);
      builder_.paragraph(body_);
    } else {
      builder_.paragraph(is_blank(body_) ? tag_ : tag_ + "\n    " + body_, true);
    }
    body_.clear();
    tag_.clear();
    tag_wanted_ = false;
    attach_ = false;
  }

  void set_verbatim(bool on) {
    if (on == verbatim_) return;
    const std::string tag = std::exchange(tag_, {});
    if (!is_blank(tag)) body_ = is_blank(body_) ? tag : tag + "\n    " + body_;
    flush();
    verbatim_ = on;
  }

  void start_heading(int level, const Args& args) {
    set_verbatim(false);
    flush();
    heading_level_ = level;
    if (!args.empty()) text(join(args, " "));
  }

  /// man(7), and what pod2man defines on top of it.
  bool man_macro(std::string_view name, const Args& args) {
    if (name == "TH") {
      if (args.size() > 1) page_name_ = fmt::format("{}({})", args[0], args[1]);
    } else if (name == "SH" || name == "SS") {
      start_heading(name == "SH" ? 1 : 2, args);
    } else if (name == "PP" || name == "P" || name == "LP" || name == "HP" || name == "RS" || name == "RE" ||
               name == "sp" || name == "Sp" || name == "YS" || name == "SY") {
      if (verbatim_) {
        body_ += name == "sp" || name == "Sp" ? "\n" : "";
      } else {
        flush();
      }
      if (name == "SY") text(join(args, " "));
    } else if (name == "br") {
      if (!verbatim_ && !body_.empty()) body_ += '\n';
    } else if (name == "TP") {
      flush();
      tag_wanted_ = true;
    } else if (name == "TQ") {
      tag_wanted_ = true;
    } else if (name == "IP") {
      flush();
      if (!args.empty()) tag_ = trimmed(args[0]);
    } else if (name == "nf" || name == "EX" || name == "Vb") {
      set_verbatim(true);
    } else if (name == "fi" || name == "EE" || name == "Ve") {
      set_verbatim(false);
    } else if (name == "B" || name == "I" || name == "R" || name == "SM" || name == "SB") {
      if (!args.empty()) text(join(args, " "));
    } else if (name == "BR" || name == "BI" || name == "IB" || name == "IR" || name == "RB" || name == "RI") {
      text(join(args, ""));
    } else if (name == "OP") {
      text(fmt::format("[{}]", fmt::join(args, " ")));
    } else if (name == "UR" || name == "MT") {
      link_ = args.empty() ? "" : args[0];
    } else if (name == "UE" || name == "ME") {
      text(fmt::format("<{}>{}", std::exchange(link_, {}), fmt::join(args, "")));
    } else if (name == "TS") {
      set_verbatim(false);
      flush();
      in_table_ = true;
      table_rows_ = false;
    } else {
      return false;
    }
    return true;
  }

  bool mdoc_macro(std::string_view name, const Args& args) {
    if (name == "Dt") {
      if (args.size() > 1) page_name_ = fmt::format("{}({})", args[0], args[1]);
    } else if (name == "Sh" || name == "Ss") {
      start_heading(name == "Sh" ? 1 : 2, args);
    } else if (name == "Pp" || name == "Lp" || name == "Bl" || name == "El") {
      flush();
    } else if (name == "It") {
      flush();
      tag_ = words_.render(args);
    } else if (name == "Bd") {
      flush();
      const std::string kind = args.empty() ? "" : args[0];
      set_verbatim(kind == "-literal" || kind == "-unfilled");
    } else if (name == "Ed") {
      set_verbatim(false);
      flush();
    } else if (name == "Dl" || name == "D1") {
      flush();
      builder_.verbatim(words_.render(args));
    } else if (name == "Ex") {
      text(fmt::format("The {} utility exits 0 on success, and >0 if an error occurs.", words_.name));
    } else if (name.starts_with('%')) {
      text(join(args, " ") + ",");
    } else {
      return false;
    }
    return true;
  }

  void word_macro(const std::string& name, const Args& args) {
    if (!is_mdoc_word_macro(name)) return;
    Args words = {name};
    words.insert(words.end(), args.begin(), args.end());
    if (name == "Nm" && equal_ignoring_case(section_, "SYNOPSIS")) flush();
    text(words_.render(words));
  }

  /// tbl(1): format lines end with a full stop; then rows of cells, separated by tabs; "T{" to "T}"
  /// is one cell of several lines.
  void table_line(const RoffSource::Line& line) {
    if (!line.macro.empty()) {
      if (line.macro == "TE") {
        builder_.verbatim(std::exchange(body_, {}));
        in_table_ = false;
      } else if (line.macro == "T&") {
        table_rows_ = false;
      } else if (table_rows_) {
        body_ += join(line.args, line.macro.size() == 2 ? "" : " ");
      }
      return;
    }
    if (!table_rows_) {
      table_rows_ = line.text.ends_with('.');
      return;
    }
    if (line.text == "_" || line.text == "=") return;
    bool open_cell = false;
    for (std::size_t at = 0; at <= line.text.size();) {
      const std::size_t tab = std::min(line.text.find('\t', at), line.text.size());
      std::string_view cell = trimmed(std::string_view(line.text).substr(at, tab - at));
      if (at > 0) body_ += " | ";
      if (cell.starts_with("T}")) cell = trimmed(cell.substr(2));
      open_cell = cell == "T{";
      if (!open_cell && !cell.empty()) {
        body_.append(body_.empty() || body_.back() == '\n' || body_.back() == ' ' ? "" : " ").append(cell);
      }
      at = tab + 1;
    }
    in_cell_ = open_cell || (in_cell_ && !line.text.starts_with("T}"));
    if (!in_cell_) body_ += '\n';
  }

  RoffSource source_;
  DocumentBuilder builder_;
  MdocWords words_;
  std::string body_;
  std::string tag_;
  std::string section_;
  std::string page_name_;
  std::string link_;
  int heading_level_ = 0;  ///< the next line is a heading
  bool tag_wanted_ = false;
  bool verbatim_ = false;
  bool attach_ = false;
  bool in_table_ = false;
  bool table_rows_ = false;
  bool in_cell_ = false;
};

}  // namespace

Document render_man(std::string_view source) { return ManRenderer(source).render(); }

}  // namespace reef::text::internal
