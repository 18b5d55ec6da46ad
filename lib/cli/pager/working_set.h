#ifndef FARFAULT_LIB_CLI_PAGER_WORKING_SET_H_
#define FARFAULT_LIB_CLI_PAGER_WORKING_SET_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/page.h"
#include "farfault/predictor.h"

namespace farfault {

/// The order in which a guest has touched its memory, in units of pages of the whole image.
struct WorkingSet {
  std::uint64_t pages = 0;      ///< Of the image.
  std::uint64_t page_size = 0;  ///< Bytes.
  std::vector<PageRun> order;   ///< First touched first; runs inside the image.
};

/// Unites neighbours that were touched one after the other.
std::vector<PageRun> RunsOf(std::span<const PageIndex> touched);

/// Where WriteWorkingSet of this process writes before it moves the file to `path`.
std::string WorkingSetDraft(const std::string& path);

/// A text file: "farfault-working-set 1 PAGES PAGE_SIZE", then a line "FIRST COUNT" per run. Replaced as a whole or not
/// at all.
absl::Status WriteWorkingSet(const std::string& path, const WorkingSet& working_set);
/// kNotFound, kPermissionDenied; kDataLoss with the line that makes no sense.
absl::StatusOr<WorkingSet> ReadWorkingSet(const std::string& path);
/// kFailedPrecondition: it was recorded of an image of another size.
absl::Status CheckWorkingSet(const WorkingSet& working_set, std::uint64_t pages, std::uint64_t page_size);

/// Pushes a recorded order and has no opinion afterwards. Faults do not change it: the working set is short.
class WorkingSetPredictor final : public Predictor {
 public:
  explicit WorkingSetPredictor(std::vector<PageRun> order) : order_(std::move(order)) {}
  void OnFault(PageIndex /*page*/, absl::Time /*when*/) override {}
  std::size_t Next(std::span<PageRun> out) override;

 private:
  std::vector<PageRun> order_;
  std::size_t next_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_WORKING_SET_H_
