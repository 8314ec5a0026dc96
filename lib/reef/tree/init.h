#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "reef/tree/config.h"
#include "reef/tree/tree.h"

namespace reef::tree {

struct InitOptions {
  std::vector<std::string> personas;
  std::optional<std::string> embedding;  ///< default_embedding of models.yaml
  std::optional<std::string> layout;     ///< storage.layout of system.yaml
  bool force = false;                    ///< make a tree in a folder that holds other things too
};

/// One change to a tree. Folders before what lies in them; the marker, which makes it a tree, last.
struct InitStep {
  enum class Kind { folder, file };
  Kind kind = Kind::folder;
  std::string path;     ///< relative to the root; "." is the root itself
  std::string about;    ///< "new", "persona alice", "default_embedding: all-MiniLM-L6-v2"
  std::string content;  ///< of a file
};

struct InitPlan {
  std::string root;
  std::vector<InitStep> steps;
  bool applied = false;
};

/// What is missing; nothing when the tree already is as asked. Throws Error{usage} for a persona
/// id or layout that cannot be, when a configuration file is faulty or cannot be edited, and,
/// unless forced, for a folder that is no tree and holds other things.
InitPlan plan_init(const Tree& tree, const InitOptions& options);
/// Does what plan_init() would say once no other run is at it: the plan is made under the tree's
/// lock, so that neither run undoes what the other did. Throws Error{locked} after `wait`.
InitPlan apply_init(const Tree& tree, const InitOptions& options, std::chrono::milliseconds wait = {});

struct CheckFault {
  std::string path;
  std::string what;
  std::string hint;
};

struct CheckReport {
  std::string root;
  std::vector<CheckFault> faults;
  std::vector<std::pair<std::string, ConfigValue>> values;
};

/// Compares a tree with the layout: what is missing, foreign, of the wrong owner or mode, on the
/// wrong drive. Changes nothing.
CheckReport check_tree(const Tree& tree);

std::string to_text(const InitPlan& plan);
std::string to_json(const InitPlan& plan);
std::string to_text(const CheckReport& report);
std::string to_json(const CheckReport& report);

/// A run as root works as the owner of the tree's root folder, so that a service never finds
/// files that it may not write. Throws Error{failed} when that cannot be.
void act_as_owner(const Tree& tree);

}  // namespace reef::tree
