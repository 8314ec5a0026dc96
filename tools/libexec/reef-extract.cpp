// Turns an HTML file into the neutral form on standard output. A program of its own, so that
// libxml2 neither costs the commands that answer questions their start-up time nor runs with a
// hostile page in the process that holds the stores.
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "html_text.h"
#include "reef/io/file.h"
#include "reef/text/neutral.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: reef-extract FILE.html\n", stderr);
    return 2;
  }
  try {
    const std::string out = reef::text::write_neutral(reef::text::html_text(reef::io::read_file(argv[1])));
    reef::io::write_all(1, out, "standard output");
    return 0;
  } catch (const std::bad_alloc&) {
    std::fputs("the page needs more memory than it may have\n", stderr);
    return 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
