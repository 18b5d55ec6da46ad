#ifndef FARFAULT_LIB_SIM_SIM_GUEST_H_
#define FARFAULT_LIB_SIM_SIM_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "farfault/page.h"
#include "lib/page/page_bitmap.h"
#include "lib/sim/page_image.h"
#include "lib/sim/scene.h"
#include "lib/sim/sim_kernel.h"

namespace farfault::sim {

/// The program that lives in the memory. At the source it writes pages; at the destination its vCPUs touch pages in a
/// pattern, park where one is missing, and check every byte they see.
class SimGuest {
 public:
  SimGuest(Scene& scene, PageImage& source, SimKernel& kernel);

  // At the source.
  void WriteAtSource();
  /// Written (or discarded) since the last call.
  std::vector<PageRun> TakeDirty();
  /// Pages that were never written, or were discarded since.
  std::vector<PageRun> Holes() const;

  // At the destination.
  std::size_t vcpus() const { return vcpus_.size(); }
  /// Lets a vCPU touch its next page. False: it is parked, or has finished.
  bool Run(std::size_t vcpu);
  bool finished() const { return finished_ == vcpus_.size(); }
  /// Every page that the guest has written holds what it wrote, all others what the source held.
  void CheckAll();

 private:
  static constexpr std::uint64_t kUnwritten = 0;
  static constexpr std::uint64_t kZeros = UINT64_MAX;

  struct Vcpu {
    std::uint64_t touches_left = 0;
    PageIndex cursor = 0;
    bool has_target = false;
    PageIndex target = 0;
    bool writes = false;
    PageRun discards;      // Instead of touching the target; empty: it touches.
    bool may_zap = false;  // The pager has heard of the discard.
  };

  void ChooseTarget(Vcpu& vcpu);
  bool Access(Vcpu& vcpu, std::size_t index);
  bool Discard(Vcpu& vcpu, std::size_t index);
  bool HoldsItsBytes(PageIndex page);
  void CheckPage(PageIndex page);

  Scene& scene_;
  PageImage& source_;
  SimKernel& kernel_;
  PageBitmap dirty_;
  PageBitmap populated_;
  std::uint64_t versions_ = 0;
  std::vector<Vcpu> vcpus_;
  std::size_t finished_ = 0;
  // Per page, at the destination: the version that was written, kUnwritten or kZeros.
  std::vector<std::uint64_t> written_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_SIM_GUEST_H_
