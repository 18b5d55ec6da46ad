#include "bench/group.h"

#include <algorithm>
#include <utility>

namespace farfault::bench {
namespace {

// A function's static: registrations of other files may run before this file's own initialisers.
std::vector<Group>& Registry() {
  static std::vector<Group> groups;
  return groups;
}

}  // namespace

GroupRegistration::GroupRegistration(Group group) {
  std::vector<Group>& groups = Registry();
  const auto at = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.name > group.name; });
  groups.insert(at, std::move(group));
}

const std::vector<Group>& Groups() { return Registry(); }

}  // namespace farfault::bench
