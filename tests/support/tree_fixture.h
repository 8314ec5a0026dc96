#pragma once

#include <fstream>
#include <memory>
#include <string>

#include "reef/tree/init.h"
#include "support/temp_dir.h"

namespace reef::test {

/// A storage tree of its own with persona "alice", and a folder of files beside it.
struct TreeFixture {
  TempDir dir;
  tree::Tree tree = make();

  tree::Tree make() {
    const auto root = tree::Tree::at(dir / "tree");
    tree::InitOptions options;
    options.personas = {"alice"};
    tree::apply_init(root, options);
    std::filesystem::create_directory(dir / "in");
    return tree::Tree::open(dir / "tree");
  }
  std::filesystem::path write(const std::string& name, const std::string& content) {
    const auto path = dir / "in" / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
};

}  // namespace reef::test
