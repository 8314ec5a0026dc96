#include "reef/core/table.h"

#include <doctest/doctest.h>

namespace reef {
namespace {

TEST_CASE("a table aligns its columns and leaves no blanks at the end") {
  Table table({{"NAME"}, {"SIZE", Align::right}, {"STATE"}});
  table.add({"gemma-3-4b", "4.20 GiB", "HOT"});
  table.add({"a", "912 B", ""});
  CHECK(table.to_text() ==
        "NAME            SIZE  STATE\n"
        "gemma-3-4b  4.20 GiB  HOT\n"
        "a              912 B\n");
}

TEST_CASE("without titles there is no header") {
  Table table({{""}, {""}});
  CHECK(table.empty());
  CHECK(table.to_text().empty());
  table.add({"a", "b"});
  CHECK(table.to_text() == "a  b\n");
}

TEST_CASE("rows may be shorter or longer than the titles") {
  Table table({{"A"}, {"B"}});
  table.add({"1"});
  table.add({"1", "2", "3"});
  CHECK(table.to_text() == "A  B\n1\n1  2  3\n");
}

TEST_CASE("widths are counted in cells") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("世界") == 4);
  CHECK(display_width("é") == 1);
  CHECK(display_width("e\xCC\x81") == 1);  // a combining acute accent
  CHECK(display_width("\xFF") == 1);       // shown as U+FFFD
  Table table({{"T"}, {"N", Align::right}});
  table.add({"世界", "1"});
  table.add({"ab", "22"});
  CHECK(table.to_text() == "T      N\n世界   1\nab    22\n");
}

TEST_CASE("nothing in a cell steers the terminal") {
  CHECK(printable("a\x1b[2Jb") == "a\\x1b[2Jb");
  CHECK(printable("tab\tline\n") == "tab\\x09line\\x0a");
  CHECK(printable("tab\tline\r\n", true) == "tab\tline\\x0d\n");
  CHECK(printable("\x7f") == "\\x7f");
  CHECK(printable("\xC2\x9B") == "\\u009b");            // CSI of eight bits
  CHECK(printable("a\xE2\x80\xAE z") == "a\\u202e z");  // right-to-left override
  CHECK(printable("\xFF\xE4\xB8") == "\\xff\\xe4\\xb8");
  CHECK(printable(std::string_view("\0", 1)) == "\\x00");
  CHECK(printable("Grüße 世界") == "Grüße 世界");
  Table table({{"T"}});
  table.add({"\x1b]0;x\x07"});
  CHECK(table.to_text() == "T\n\\x1b]0;x\\x07\n");
}

TEST_CASE("ellipsis cuts between characters") {
  CHECK(ellipsis("short", 10) == "short");
  CHECK(ellipsis("exact", 5) == "exact");
  CHECK(ellipsis("a longer text", 6) == "a lon…");
  CHECK(ellipsis("世界世界", 4) == "世…");  // the second would need a fifth cell
  CHECK(ellipsis("e\xCC\x81xyz", 2) == "e\xCC\x81…");
  CHECK(ellipsis("abc", 1) == "…");
  CHECK(ellipsis("abc", 0).empty());
  CHECK(ellipsis("", 0).empty());
}

}  // namespace
}  // namespace reef
