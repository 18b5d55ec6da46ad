#ifndef FARFAULT_LIB_PAGE_EXTENT_PLAN_H_
#define FARFAULT_LIB_PAGE_EXTENT_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/page/extent_table.h"
#include "lib/page/page_layout.h"

// In which extents memory is registered where registering pins it. Holes between data stay out, whatever their size, as
// long as the extents fit a side's table. In a more fragmented memory the smallest holes are registered as well (one
// between data takes two slots to leave out, one beside it a single slot, so it counts double): they are populated,
// pinned and moved as zeros, and that is all that is given up. There is no fragmentation that does not
// fit, also not when data appears in holes again and again afterwards.
namespace farfault {

/// Of these an offer takes at most half a table, so that what gets data later finds room in the other half.
inline constexpr std::size_t kMaxOfferedExtents = ExtentTable::kMaxExtents / 2;

/// The extents for `data`. `stretches` have no key yet; `data` lies inside them; both ascend, and no run crosses a
/// region. At most `slots` extents are free. Leaves at least one free slot for each stretch that still has no key when
/// that was so before, so that there will always be room for the rest.
std::vector<PageRun> PlanExtents(std::span<const PageRun> stretches, std::span<const PageRun> data, std::size_t slots);

/// The extents for what has got data in `missing`, which has no key yet, and is in none of `holes`; both ascend. As
/// PlanExtents, with large extents cut into pieces that are registered in parallel while slots are plenty.
std::vector<PageRun> PlanLate(const PageLayout& layout, std::span<const PageRun> missing,
                              std::span<const PageRun> holes, std::size_t slots);

/// The extents to offer at first: PlanExtents for everything that is not in `holes` (any order), cut into pieces that
/// are registered in parallel, of 64 MiB or more. At most kMaxOfferedExtents.
std::vector<PageRun> PlanOffer(const PageLayout& layout, std::span<const PageRun> holes);

/// What is in `stretches` and not in `holes`, which may reach out of them. Ascending.
std::vector<PageRun> WithoutHoles(std::span<const PageRun> stretches, std::span<const PageRun> holes);

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_EXTENT_PLAN_H_
