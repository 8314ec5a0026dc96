// config_page_test PAGE: reef-config(5) describes every key of the configuration table with its
// type and default, and no key that does not exist.

#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "reef/tree/config.h"

namespace {

using namespace reef::tree;

/// "*retrieve.priors.shared* (number from 0, default 0.95)".
std::string heading(const ConfigKey& key) {
  std::string path = key.path;
  if (const auto star = path.find('*'); star != std::string::npos) path.replace(star, 1, "NAME");
  const std::string value = *key.default_value == '\0' ? "" : fmt::format(", default {}", key.default_value);
  return fmt::format("*{}* ({}{})", path, type_text(key), value);
}

/// Lines that introduce a key: "*name* (" up to the end of the line.
std::set<std::string> headings_of(const char* page) {
  std::set<std::string> found;
  std::ifstream in(page);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with('*') && line.find("* (") != std::string::npos) found.insert(line);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: config_page_test PAGE\n");
    return 2;
  }
  std::set<std::string> described = headings_of(argv[1]);
  int faults = 0;
  for (const ConfigKey& key : config_keys()) {
    if (described.erase(heading(key)) > 0) continue;
    fmt::print(stderr, "{}: no paragraph that begins with \"{}\"\n", argv[1], heading(key));
    ++faults;
  }
  for (const std::string& line : described) {
    fmt::print(stderr, "{}: describes what no key is: \"{}\"\n", argv[1], line);
    ++faults;
  }
  return faults == 0 ? 0 : 1;
}
