#ifndef FARFAULT_LIB_UTIL_DEVICE_ACCESS_H_
#define FARFAULT_LIB_UTIL_DEVICE_ACCESS_H_

#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_ignore_thread_begin();
extern "C" void __tsan_ignore_thread_end();
#endif

namespace farfault {

/// While this exists, its thread moves registered memory as a device's DMA would, and races as a device may: with the
/// guest that still writes a page which is being pre-paged (its dirty mark has the page sent again), and with the other
/// channel that lands the same bytes of a page (a WRITE and the response of a READ; the page is mapped when both have
/// landed). ThreadSanitizer, which sees no device, takes no notice of what this thread reads and writes meanwhile, but
/// of what it synchronises with. To be held around the copy or the system call, no longer.
class [[maybe_unused]] DeviceAccess {
 public:
#ifdef __SANITIZE_THREAD__
  DeviceAccess() { __tsan_ignore_thread_begin(); }
  ~DeviceAccess() { __tsan_ignore_thread_end(); }
#else
  DeviceAccess() = default;
  ~DeviceAccess() = default;
#endif
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_DEVICE_ACCESS_H_
