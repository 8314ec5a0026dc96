#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reef::io::internal {

/// An element of a document without mixed content: its children, or its text.
struct XmlElement {
  std::string name;  ///< as written, with the prefix of a namespace if it has one
  std::string text;  ///< between its children, too; references resolved, of no certain encoding
  std::vector<XmlElement> children;

  /// The first child of that name.
  const XmlElement* child(std::string_view name) const;
  /// The text of the first child of that name; empty where there is none.
  std::string text_of(std::string_view name) const;
};

/// The root of an XML document of the kind that S3 services answer with: elements, text, attributes (which are skipped)
/// and the five named references and those by number. nullopt for everything else: what is not well-formed, a
/// DOCTYPE, comments and sections, elements in more than 12 others, more than 200,000 of them.
std::optional<XmlElement> parse_xml(std::string_view text);

}  // namespace reef::io::internal
