#include "html_text.h"

#include <libxml/HTMLparser.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <string>

#include "reef/core/error.h"
#include "reef/core/text.h"
#include "reef/text/builder.h"
#include "reef/text/internal/strings.h"

namespace reef::text {
namespace {

constexpr auto kDropped = std::to_array<std::string_view>(
    {"script", "style", "nav", "noscript", "template", "head", "svg", "canvas", "iframe", "object", "embed", "audio",
     "video", "map", "select", "button", "input", "textarea", "datalist"});
constexpr auto kBlocks = std::to_array<std::string_view>(
    {"p",      "div",        "section", "article", "main",     "aside", "header",  "footer",  "blockquote",
     "figure", "figcaption", "address", "center",  "fieldset", "form",  "details", "summary", "ul",
     "ol",     "dl",         "dt",      "dd",      "li",       "table", "thead",   "tbody",   "tfoot",
     "tr",     "td",         "th",      "caption", "hr",       "body",  "html",    "pre",     "h1",
     "h2",     "h3",         "h4",      "h5",      "h6"});

bool in(std::string_view name, const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); }

std::string_view view(const xmlChar* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

bool is_element(const xmlNode* node, std::string_view name) {
  return node->type == XML_ELEMENT_NODE && view(node->name) == name;
}

bool is_hidden(const xmlNode* node) {
  if (in(view(node->name), kDropped)) return true;
  for (const xmlAttr* attribute = node->properties; attribute; attribute = attribute->next) {
    const std::string_view name = view(attribute->name);
    if (name == "hidden") return true;
    if (name == "aria-hidden" && attribute->children && view(attribute->children->content) == "true") return true;
  }
  return false;
}

/// The node behind `node` and everything in it, inside of `root`.
xmlNode* skip(xmlNode* node, const xmlNode* root) {
  while (node != root && !node->next) node = node->parent;
  return node == root ? nullptr : node->next;
}

/// The next node in document order, inside of `root`. No recursion: pages nest as deep as they like.
xmlNode* following(xmlNode* node, const xmlNode* root) {
  // An entity reference's child is its declaration, whose parent is elsewhere.
  if (node->type == XML_ELEMENT_NODE && node->children) return node->children;
  return skip(node, root);
}

/// All text inside of `root` that is shown, valid UTF-8: libxml2 lets some ill-formed bytes pass.
std::string text_of(xmlNode* root) {
  std::string out;
  for (xmlNode* node = following(root, root); node;) {
    if (node->type == XML_ELEMENT_NODE && is_hidden(node)) {
      node = skip(node, root);
      continue;
    }
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) out += view(node->content);
    if (is_element(node, "br")) out += '\n';
    node = following(node, root);
  }
  return to_valid_utf8(out);
}

/// Tables that lay out a page hold blocks in their cells; those that hold data do not.
bool is_data_table(xmlNode* table) {
  std::size_t cells = 0;
  for (xmlNode* node = following(table, table); node; node = following(node, table)) {
    if (node->type != XML_ELEMENT_NODE) continue;
    const std::string_view name = view(node->name);
    if (name == "table" || name == "div" || name == "ul" || name == "ol" || name == "pre" ||
        (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6')) {
      return false;
    }
    if (name == "td" || name == "th") ++cells;
  }
  return cells > 1;
}

std::string table_text(xmlNode* table) {
  std::string out;
  for (xmlNode* node = following(table, table); node;) {
    if (is_element(node, "td") || is_element(node, "th")) {
      if (!out.empty() && out.back() != '\n') out += " | ";
      out += internal::collapsed(text_of(node));
      node = skip(node, table);
    } else if (is_element(node, "caption")) {
      out += internal::collapsed(text_of(node)) + '\n';
      node = skip(node, table);
    } else {
      if (is_element(node, "tr") && !out.empty() && out.back() != '\n') out += '\n';
      node = following(node, table);
    }
  }
  return out;
}

class PageText {
 public:
  Document read(xmlNode* root) {
    for (xmlNode* node = root; node;) {
      node = node->type == XML_ELEMENT_NODE ? element(node, root) : text(node, root);
    }
    flush();
    builder_.title(first_heading_);
    return builder_.take();
  }

  void title(std::string_view words) { builder_.title(words); }

 private:
  xmlNode* text(xmlNode* node, xmlNode* root) {
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) line_ += view(node->content);
    return leave(node, root);
  }

  xmlNode* element(xmlNode* node, xmlNode* root) {
    const std::string_view name = view(node->name);
    if (is_hidden(node)) return leave(node, root);
    if (name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6') {
      flush();
      const std::string words = internal::collapsed(text_of(node));
      if (first_heading_.empty()) first_heading_ = words;
      builder_.heading(name[1] - '0', words);
      return leave(node, root);
    }
    if (name == "pre") {
      flush();
      builder_.verbatim(text_of(node));
      return leave(node, root);
    }
    if (name == "table" && is_data_table(node)) {
      flush();
      builder_.verbatim(table_text(node));
      return leave(node, root);
    }
    if (name == "br") line_ += '\n';
    if (in(name, kBlocks)) flush();
    if (name == "li") item_ = true;
    return node->children ? node->children : leave(node, root);
  }

  /// The node behind this one; blocks that end on the way there end their paragraphs.
  xmlNode* leave(xmlNode* node, xmlNode* root) {
    for (;; node = node->parent) {
      if (node->type == XML_ELEMENT_NODE && in(view(node->name), kBlocks)) {
        flush();
        item_ = false;
      }
      if (node == root) return nullptr;
      if (node->next) return node->next;
    }
  }

  void flush() {
    const std::string words = internal::collapsed(to_valid_utf8(line_));
    line_.clear();
    if (words.empty()) return;
    builder_.paragraph(item_ ? "- " + words : words, item_);
    item_ = false;
  }

  DocumentBuilder builder_;
  std::string first_heading_;
  std::string line_;
  bool item_ = false;
};

struct FreeDocument {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};
struct FreeContext {
  void operator()(htmlParserCtxt* context) const { htmlFreeParserCtxt(context); }
};
using DocumentPointer = std::unique_ptr<xmlDoc, FreeDocument>;

void say_nothing(void*, const char*, ...) {}

/// Bytes beyond ASCII that are valid UTF-8 are UTF-8, whatever the page declares or leaves out.
const char* forced_encoding(std::string_view html) {
  const bool ascii = std::all_of(html.begin(), html.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return !ascii && is_valid_utf8(html) ? "UTF-8" : nullptr;
}

DocumentPointer parse(std::string_view html) {
  constexpr int kOptions =
      HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET | HTML_PARSE_COMPACT;
  if (html.size() > INT32_MAX) throw Error(Errc::failed, "a page of more than 2 GiB is not read");
  // Its words about memory would stand before ours on standard error.
  xmlSetGenericErrorFunc(nullptr, say_nothing);
  const std::unique_ptr<htmlParserCtxt, FreeContext> context(htmlNewParserCtxt());
  if (!context) throw std::bad_alloc();
  // Without this the parser drops in silence what nests deeper than 256 or is longer than 10 MB;
  // our limits are those of the process.
  context->options |= XML_PARSE_HUGE;
  DocumentPointer document(htmlCtxtReadMemory(context.get(), html.data(), static_cast<int>(html.size()), nullptr,
                                              forced_encoding(html), kOptions));
  const xmlError* last = xmlGetLastError();
  if (context->lastError.code == XML_ERR_NO_MEMORY || (last && last->code == XML_ERR_NO_MEMORY)) throw std::bad_alloc();
  return document;
}

}  // namespace

Document html_text(std::string_view html) {
  const DocumentPointer document = parse(html);
  xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (!root) throw Error(Errc::failed, "it holds no HTML");
  PageText page;
  for (xmlNode* node = root; node; node = following(node, root)) {
    if (is_element(node, "title")) {
      page.title(text_of(node));
      break;
    }
    if (is_element(node, "body")) break;
  }
  return page.read(root);
}

}  // namespace reef::text
