#include "reef/tree/tree.h"

#include <doctest/doctest.h>

#include <fstream>

#include "reef/core/error.h"
#include "support/tree_fixture.h"

using namespace reef;
using namespace reef::tree;

namespace {

Errc code_of_opening(const fs::path& root) {
  try {
    Tree::open(root);
  } catch (const Error& error) {
    CHECK_FALSE(error.hint().empty());
    return error.code();
  }
  return Errc::failed;
}

}  // namespace

TEST_CASE("a scope is read back from its name") {
  for (const Scope& scope : {Scope::shared(), Scope::persona("alice")}) CHECK(Scope::parse(scope.name()) == scope);
  CHECK_THROWS_AS(Scope::parse("persona:../x"), Error);
  CHECK_THROWS_AS(Scope::parse("everything"), Error);
  const Tree tree = Tree::at("/r");
  CHECK(tree.vectors(Scope::shared()) == "/r/vectors/shared");
  CHECK(tree.vectors(Scope::persona("alice")) == "/r/vectors/personas/alice");
}

TEST_CASE_FIXTURE(test::TreeFixture, "only a tree that this program knows is opened") {
  const fs::path marker = tree.marker();
  const auto becomes = [&](const char* text) { std::ofstream(marker, std::ios::trunc) << text; };
  CHECK_NOTHROW(Tree::open(tree.root()));
  becomes("reef tree 2\n");
  CHECK(code_of_opening(tree.root()) == Errc::usage);
  for (const char* text : {"", "reef tree", "reef tree x\n", "reef tree 0\n", "something else\n"}) {
    CAPTURE(text);
    becomes(text);
    CHECK(code_of_opening(tree.root()) == Errc::corrupt);
  }
  fs::remove(marker);
  CHECK(code_of_opening(tree.root()) == Errc::not_found);
}

TEST_CASE_FIXTURE(test::TreeFixture, "init plans what is missing and nothing else") {
  CHECK(plan_init(tree, {}).steps.empty());
  fs::remove_all(tree.cache());
  InitOptions options;
  options.personas = {"alice", "bob"};
  CHECK(plan_init(tree, options).steps.size() >= 5);
  CHECK(apply_init(tree, options).steps.size() >= 5);
  CHECK(plan_init(tree, options).steps.empty());
  CHECK(fs::is_directory(tree.encoders().parent_path()));
  CHECK(check_tree(tree).faults.empty());
  options.personas = {"Bob"};
  CHECK_THROWS_AS(plan_init(tree, options), Error);
}

TEST_CASE_FIXTURE(test::TreeFixture, "a folder that holds something else never becomes a tree unasked") {
  const Tree photos = Tree::at(dir / "photos");
  fs::create_directories(photos.root() / "lost+found");
  std::ofstream(photos.root() / ".directory") << "of a file manager";
  CHECK_NOTHROW(plan_init(photos, {}));
  std::ofstream(photos.root() / "beach.jpg") << "x";
  CHECK_THROWS_WITH_AS(apply_init(photos, {}), doctest::Contains("beach.jpg"), Error);
  CHECK(!fs::exists(photos.root() / "config"));
  InitOptions options;
  options.force = true;
  std::ofstream(photos.models()) << "a file where a folder belongs";
  CHECK_THROWS_WITH_AS(apply_init(photos, options), doctest::Contains("not a folder"), Error);
  CHECK(!fs::exists(photos.marker()));
  fs::remove(photos.models());
  apply_init(photos, options);
  CHECK_NOTHROW(Tree::open(photos.root()));
  CHECK_NOTHROW(plan_init(photos, {}));  // a tree is completed whatever lies beside it
}
