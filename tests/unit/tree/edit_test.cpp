#include "reef/tree/internal/edit.h"

#include <doctest/doctest.h>

#include "reef/core/error.h"
#include "reef/tree/config.h"
#include "reef/tree/persona.h"

using namespace reef;
using namespace reef::tree;

namespace {

constexpr const char* kDay = "2026-01-02T03:04:05Z";

std::string with_persona(const std::string& yaml, const std::string& id) {
  return internal::with_persona({"personas", "p.yaml", yaml}, id, kDay);
}
std::string with_layout(const std::string& yaml, const std::string& layout) {
  return internal::with_setting({"system", "s.yaml", yaml}, "storage", "layout", layout);
}
std::vector<std::string> ids_in(const std::string& yaml) { return personas(Config::parse("personas", yaml, "p.yaml")); }

}  // namespace

TEST_CASE("a persona is added to whatever was there first") {
  for (const char* start : {"", "# only a comment", "---\n", "personas: {}\n", "personas: {}  # none\n", "personas:\n",
                            "personas:", "# c\npersonas: {}\n", "# personas: {}\npersonas:\n", "# see personas:\n"}) {
    CAPTURE(start);
    CHECK(ids_in(with_persona(start, "bob")) == std::vector<std::string>{"bob"});
  }
  CHECK(ids_in(commented_file("personas")).empty());
  CHECK(ids_in(with_persona(commented_file("personas"), "bob")) == std::vector<std::string>{"bob"});
  CHECK(ids_in(with_persona(with_persona("", "null"), "0")) == std::vector<std::string>{"0", "null"});
}

TEST_CASE("a new persona stands as the others do, comments and order kept") {
  const std::string two = "# ours\npersonas:\n  zoe:\n    name: Zoe  # the first\n";
  CHECK(with_persona(two, "al") == two + "  al:\n    name: al\n    created: \"" + kDay + "\"\n");
  const std::string four = "personas:\n    bob:\n        name: B";
  CHECK(with_persona(four, "al") == four + "\n    al:\n        name: al\n        created: \"" + kDay + "\"\n");
  const std::string mixed = "personas:\n bob:\n zoe:\n     name: B\n";
  CHECK(with_persona(mixed, "al") == mixed + " al:\n     name: al\n     created: \"" + kDay + "\"\n");
  const std::string windows = "personas:\r\n  bob:\r\n    name: B\r\n";
  CHECK(with_persona(windows, "al") == windows + "  al:\r\n    name: al\r\n    created: \"" + kDay + "\"\r\n");
}

TEST_CASE("a new persona goes to the end of the mapping, wherever that is") {
  const std::string mapping = "personas:\n  bob: {name: B}\n  # end of ours\n";
  const std::string added = std::string("  al:\n    name: al\n    created: \"") + kDay + "\"\n";
  for (const std::string rest : {"", "\n\n", "# vim: et\n", "\n# a note\n", "...\n"}) {
    CAPTURE(rest);
    CHECK(with_persona(mapping + rest, "al") == mapping + added + rest);
  }
}

TEST_CASE("a setting is changed where it stands, and nothing else") {
  CHECK(with_layout("storage:\n    layout: minimal  # one\n", "standard") == "storage:\n    layout: standard  # one\n");
  CHECK(with_layout("storage:\r\n  layout: \"minimal\"\r\n", "standard") == "storage:\r\n  layout: standard\r\n");
  CHECK(with_layout("storage: {layout: minimal}\n", "standard") == "storage: {layout: standard}\n");
  CHECK(with_layout("storage:\n  layout:\ningest:\n", "standard") == "storage:\n  layout: standard\ningest:\n");
  CHECK(with_layout("storage:\n\ningest:\n  max_file_bytes: 1\n", "standard") ==
        "storage:\n  layout: standard\n\ningest:\n  max_file_bytes: 1\n");
  CHECK(with_layout("# storage:\ningest:", "standard") == "# storage:\ningest:\nstorage:\n  layout: standard\n");
}

TEST_CASE("what cannot be edited is said, with the place and what to write") {
  for (const char* yaml :
       {"{personas: {bob: {name: B}}}", "personas: {bob: {name: B}}\n", "personas: {\n}\n", "personas: ~\n",
        "? personas\n: bob: {name: B}\n", "personas:\n  bob:\n    name: |+\n      B\n\n\n", "---\n# none\n...\n"}) {
    CAPTURE(yaml);
    CHECK_THROWS_WITH_AS(with_persona(yaml, "al"), doctest::Contains("p.yaml:1: persona 'al' cannot be added"), Error);
  }
  try {
    with_persona("# ours\npersonas: {bob: {name: B}}\n", "al");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::usage);
    CHECK(std::string(error.what()).starts_with("p.yaml:2: "));
    CHECK(error.hint().find("'al: {name: al}' under 'personas'") != std::string::npos);
  }
  CHECK_THROWS_WITH_AS(with_layout("{ingest: {max_file_bytes: 1}}\n", "standard"),
                       doctest::Contains("s.yaml:1: storage.layout cannot be set"), Error);
  CHECK_THROWS_AS(with_layout("storage:\n  layout: >\n    minimal\n", "standard"), Error);
}

namespace {

std::string with_adapter(const std::string& yaml, const std::string& adapter = "new") {
  return internal::with_persona_item({"personas", "p.yaml", yaml}, "al", "adapters", adapter);
}

}  // namespace

TEST_CASE("an item comes to the end of a persona's list, in the form that the list has") {
  struct Edit {
    const char *before, *after;
  };
  for (const Edit& edit : std::vector<Edit>{
           {"personas:\n  al:\n    name: A  # who\n  bo:\n    name: B\n",
            "personas:\n  al:\n    name: A  # who\n    adapters: [new]\n  bo:\n    name: B\n"},
           {"personas:\n  al:\n  bo:\n", "personas:\n  al:\n    adapters: [new]\n  bo:\n"},
           {"personas:\n    al:  # she\n", "personas:\n    al:  # she\n        adapters: [new]\n"},
           {"personas:\n  al: {}\n", "personas:\n  al: {adapters: [new]}\n"},
           {"personas:\n  al: {name: A}\n", "personas:\n  al: {adapters: [new], name: A}\n"},
           {"personas: {al: {name: A}}\n", "personas: {al: {adapters: [new], name: A}}\n"},
           {"personas:\n  al:\n    adapters:\n    name: A\n", "personas:\n  al:\n    adapters: [new]\n    name: A\n"},
           {"personas:\n  al:\n    adapters: []  # none\n", "personas:\n  al:\n    adapters: [new]  # none\n"},
           {"personas:\n  al:\n    adapters: [x, \"y\"] # two\n",
            "personas:\n  al:\n    adapters: [x, \"y\", new] # two\n"},
           {"personas:\n  al:\n    adapters:\n      - x  # one\n    # end\n",
            "personas:\n  al:\n    adapters:\n      - x  # one\n      - new\n    # end\n"},
           {"personas:\n  al:\n    adapters:\n    - x\n    - y\n    name: A\n",
            "personas:\n  al:\n    adapters:\n    - x\n    - y\n    - new\n    name: A\n"},
           {"personas:\r\n  al:\r\n    adapters: [x]\r\n", "personas:\r\n  al:\r\n    adapters: [x, new]\r\n"},
           {"personas:\n  al:\n    name: A", "personas:\n  al:\n    name: A\n    adapters: [new]\n"},
       }) {
    CAPTURE(edit.before);
    CHECK(with_adapter(edit.before) == edit.after);
  }
  CHECK(with_adapter("personas:\n  al:\n", "null") == "personas:\n  al:\n    adapters: [\"null\"]\n");
  CHECK(ids_in(with_adapter(with_persona(commented_file("personas"), "al"))) == std::vector<std::string>{"al"});
}

TEST_CASE("a list that cannot be edited is said, with what to write") {
  for (const char* yaml : {"personas:\n  al: ~\n", "personas:\n  al:\n    adapters: ~\n",
                           "personas:\n  al: &a\n    adapters: &b [x]\n  bo: *a\n",
                           "personas:\n  al:\n    adapters:\n      - >-\n        x\n"}) {
    CAPTURE(yaml);
    CHECK_THROWS_WITH_AS(with_adapter(yaml), doctest::Contains("'new' cannot be added to personas.al.adapters"), Error);
  }
  try {
    with_adapter("personas:\n  al:\n    adapters:\n      - >-\n        x\n");
  } catch (const Error& error) {
    CHECK(error.hint().find("write 'adapters: [x, new]' under 'personas.al'") != std::string::npos);
  }
}

namespace {

internal::ConfigText text_of(const std::string& yaml) { return {"personas", "p.yaml", yaml}; }

}  // namespace

TEST_CASE("a persona is renamed where it stands, with its name where that was its id") {
  const auto renamed = [](const std::string& yaml) {
    return internal::with_persona_renamed(text_of(yaml), "bob", "al");
  };
  CHECK(renamed("# ours\npersonas:\n  zoe:\n    name: bob\n  bob:  # mine\n    name: bob  # himself\n    base: x\n") ==
        "# ours\npersonas:\n  zoe:\n    name: bob\n  al:  # mine\n    name: al  # himself\n    base: x\n");
  CHECK(renamed("personas: {bob: {name: bob, created: x}, zoe: {}}\n") ==
        "personas: {al: {name: al, created: x}, zoe: {}}\n");
  CHECK(renamed("personas:\n  \"bob\":\n    name: 'Bob'\n") == "personas:\n  al:\n    name: 'Bob'\n");
  CHECK(renamed("personas:\n  bob:\n") == "personas:\n  al:\n");
  CHECK(ids_in(internal::with_persona_renamed(text_of("personas:\n  bob:\n"), "bob", "null")) ==
        std::vector<std::string>{"null"});
  CHECK_THROWS_AS(renamed("personas:\n  ? bob\n  : &a {name: *b}\n"), Error);
}

TEST_CASE("a persona is taken out, and the comments around it stay") {
  const auto without = [](const std::string& yaml) { return internal::without_persona(text_of(yaml), "bob"); };
  CHECK(without("personas:\n  # first\n  zoe:\n    name: Z\n  # second\n  bob:\n    name: B\n    # his\n    base: x\n"
                "  # third\n  al: {}\n# end\n") ==
        "personas:\n  # first\n  zoe:\n    name: Z\n  # second\n  # third\n  al: {}\n# end\n");
  CHECK(without("personas:\n  bob: {name: B}\n") == "personas:\n");
  CHECK(ids_in(without("personas:\n  bob:\n    adapters:\n      - a\n      - b\n  zoe:\n")) ==
        std::vector<std::string>{"zoe"});
  CHECK_THROWS_AS(without("personas: {bob: {}, zoe: {}}\n"), Error);
  CHECK_THROWS_AS(without("personas:\n  bob: &b {name: x}\n  zoe: *b\n"), Error);
}

TEST_CASE("a value of a persona is any text") {
  const std::string start = with_persona("", "bob");
  for (const std::string value : {"Bob", "Zoë: \"the\" first \\ of #7", "- a", "null", " ", "tab\there"}) {
    CAPTURE(value);
    for (const char* key : {"name", "base"}) {
      const auto text = internal::with_persona_value(text_of(start), "bob", key, value);
      CHECK(Config::parse("personas", text, "p.yaml").text("personas", std::string("personas.bob.") + key) == value);
    }
  }
}
