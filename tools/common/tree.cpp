#include "common/tree.h"

#include "reef/tree/init.h"

namespace reef::tool {

tree::Tree open_tree(const cli::Session& session, bool writes) {
  tree::Tree tree = tree::Tree::open(tree::Tree::find_root(session.root()));
  if (writes) tree::act_as_owner(tree);
  return tree;
}

}  // namespace reef::tool
