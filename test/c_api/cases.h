#ifndef FARFAULT_TEST_C_API_CASES_H_
#define FARFAULT_TEST_C_API_CASES_H_

// The cases of the C API, written in C. Each returns how many of its checks have failed, and has printed them.

#ifdef __cplusplus
extern "C" {
#endif

int CaseErrorText(void);
int CaseSizedStructs(void);
int CaseMemory(void);
int CaseOwnedRegions(void);
int CaseExternalMemory(void);
int CaseRefusedSessions(void);
int CasePredictors(void);
int CaseHistograms(void);
int CaseEverythingMoves(void);
int CaseReportedDirty(void);
int CaseDescribedSource(void);
int CaseFailedDirtyLog(void);
int CaseCancelled(void);
int CaseExternalGuest(void);
int CaseGuestTakenOver(void);
int CaseExternalSource(void);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_TEST_C_API_CASES_H_
