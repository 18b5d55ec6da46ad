#include "lib/sim/sim_guest.h"

#include <fmt/format.h>

#include <cstring>

namespace farfault::sim {
namespace {

std::vector<PageRun> RunsOf(const PageBitmap& pages, bool set, const PageLayout& layout) {
  std::vector<PageRun> runs;
  for (PageIndex from = 0; from < pages.size();) {
    PageRun run = set ? pages.NextSet(from, pages.size()) : pages.NextClear(from, pages.size());
    if (run.count == 0) break;
    run = layout.ClipToRegion(run);
    runs.push_back(run);
    from = run.end();
  }
  return runs;
}

}  // namespace

SimGuest::SimGuest(Scene& scene, PageImage& source, SimKernel& kernel)
    : scene_(scene),
      source_(source),
      kernel_(kernel),
      dirty_(scene.layout.total_pages()),
      populated_(scene.layout.total_pages()),
      vcpus_(scene.config.guest.vcpus),
      written_(scene.layout.total_pages()) {
  for (PageIndex page = 0; page < populated_.size(); ++page) {
    if (scene.random.Below(100) < scene.config.regions[scene.layout.RegionOf(page)].hole_percent) continue;
    populated_.Set(page);
    source.Write(page, ++versions_);
  }
  for (Vcpu& vcpu : vcpus_) {
    vcpu.touches_left = scene.config.guest.touches_per_vcpu;
    vcpu.cursor = scene.random.Below(populated_.size());
  }
}

void SimGuest::WriteAtSource() {
  const std::uint64_t pages = populated_.size();
  // A hot tenth takes most of the writes.
  const PageIndex page = scene_.random.Below(scene_.random.OneIn(4) ? pages : pages / 10 + 1);
  dirty_.Set(page);
  if (scene_.random.OneIn(20)) {
    scene_.Note("source discards", page);
    populated_.Clear(page);
    return source_.Clear(page);
  }
  scene_.Note("source writes", page);
  populated_.Set(page);
  source_.Write(page, ++versions_);
}

std::vector<PageRun> SimGuest::TakeDirty() {
  std::vector<PageRun> runs = RunsOf(dirty_, true, scene_.layout);
  dirty_.ClearAll();
  return runs;
}

std::vector<PageRun> SimGuest::Holes() const { return RunsOf(populated_, false, scene_.layout); }

void SimGuest::ChooseTarget(Vcpu& vcpu) {
  const std::uint64_t pages = populated_.size();
  switch (scene_.config.guest.pattern) {
    case AccessPattern::kRandom:
      vcpu.target = scene_.random.Below(pages);
      break;
    case AccessPattern::kSequential:
      vcpu.target = vcpu.cursor++ % pages;
      break;
    case AccessPattern::kStrided:
      vcpu.target = (vcpu.cursor += scene_.config.guest.stride) % pages;
      break;
    case AccessPattern::kHotCold:
      vcpu.target = scene_.random.Below(scene_.random.OneIn(5) ? pages : pages / 10 + 1);
      break;
  }
  vcpu.writes = scene_.random.Below(100) < scene_.config.guest.write_percent;
  vcpu.discards = {};
  if (scene_.random.Below(100) < scene_.config.guest.discard_percent) {
    vcpu.discards = scene_.layout.ClipToRegion({vcpu.target, scene_.random.Between(1, 8)});
  }
  vcpu.has_target = true;
}

bool SimGuest::Run(std::size_t index) {
  Vcpu& vcpu = vcpus_[index];
  if (vcpu.touches_left == 0) return false;
  if (!vcpu.has_target) ChooseTarget(vcpu);
  if (!(vcpu.discards.count > 0 ? Discard(vcpu, index) : Access(vcpu, index))) return false;
  vcpu.has_target = false;
  if (--vcpu.touches_left == 0) ++finished_;
  return true;
}

bool SimGuest::Access(Vcpu& vcpu, std::size_t index) {
  if (!kernel_.Touch(vcpu.target, vcpu.writes, index)) return false;
  CheckPage(vcpu.target);
  if (vcpu.writes) {
    written_[vcpu.target] = ++versions_;
    kernel_.memory().Write(vcpu.target, versions_);
  }
  return true;
}

bool SimGuest::Discard(Vcpu& vcpu, std::size_t index) {
  if (!vcpu.may_zap) {
    vcpu.may_zap = true;
    kernel_.Discard(vcpu.discards, index);
    return false;
  }
  vcpu.may_zap = false;
  kernel_.Zap(vcpu.discards);
  for (PageIndex page = vcpu.discards.first; page < vcpu.discards.end(); ++page) written_[page] = kZeros;
  return true;
}

bool SimGuest::HoldsItsBytes(PageIndex page) {
  PageImage& memory = kernel_.memory();
  if (kernel_.zapping(page) && PageImage::IsZero(memory.page(page))) return true;
  if (written_[page] == kZeros) return PageImage::IsZero(memory.page(page));
  if (written_[page] != kUnwritten) return memory.Holds(page, written_[page]);
  return std::memcmp(memory.page(page).data(), source_.page(page).data(), source_.page(page).size()) == 0;
}

void SimGuest::CheckPage(PageIndex page) {
  if (HoldsItsBytes(page)) return;
  scene_.Report("the guest sees its own bytes", fmt::format("page {} has changed under the guest", page));
}

void SimGuest::CheckAll() {
  for (PageIndex page = 0; page < populated_.size(); ++page) {
    if (kernel_.owned_by_guest(page)) CheckPage(page);
  }
}

}  // namespace farfault::sim
