#include <stdio.h>

#include "test/c_api/cases.h"

// All cases in a program without a line of C++, linked to the shared library.
int main(void) {
  const int failures = CaseErrorText() + CaseSizedStructs() + CaseMemory() + CaseOwnedRegions() +
                       CaseRefusedSessions() + CasePredictors() + CaseHistograms() + CaseEverythingMoves() +
                       CaseReportedDirty() + CaseFailedDirtyLog() + CaseDescribedSource() + CaseCancelled() +
                       CaseExternalMemory() + CaseExternalGuest() + CaseGuestTakenOver() + CaseExternalSource();
  printf("%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}
