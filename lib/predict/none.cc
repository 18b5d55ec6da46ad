#include "lib/predict/none.h"

namespace farfault {

void NonePredictor::OnFault(PageIndex /*page*/, absl::Time /*when*/) {}

std::size_t NonePredictor::Next(std::span<PageRun> /*out*/) { return 0; }

}  // namespace farfault
