#include "lib/cli/pager/vm_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "farfault/guest_memory.h"

namespace farfault::cloud_hypervisor {
namespace {

using Json = nlohmann::json;

/// The value of a key; null when it is missing, as Cloud Hypervisor leaves out or nulls what is not there.
const Json& At(const Json& json, const char* key) {
  static const Json null;
  if (!json.is_object()) return null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

bool IsOn(const Json& json, const char* key) {
  const Json& value = At(json, key);
  return value.is_boolean() && value.get<bool>();
}

bool AnyIsOn(const Json& list, const char* key) {
  return list.is_array() &&
         std::any_of(list.begin(), list.end(), [key](const Json& element) { return IsOn(element, key); });
}

bool OfMemory(const Json& vm_config, const char* key) {
  const Json& memory = At(vm_config, "memory");
  return IsOn(memory, key) || AnyIsOn(At(memory, "zones"), key);
}

absl::Status Refuse(std::string_view what, std::string_view why, std::string_view remedy) {
  return absl::UnimplementedError(fmt::format("the guest has {}, which is not supported: {}; {}", what, why, remedy));
}

absl::Status CheckMemory(const Json& vm_config) {
  if (OfMemory(vm_config, "hugepages")) {
    return Refuse("its memory on hugetlbfs (--memory hugepages=on)",
                  fmt::format("farfault hands Cloud Hypervisor a file of pages of {} bytes", kSmallPage),
                  "start it with hugepages=off");
  }
  if (OfMemory(vm_config, "prefault")) {
    return Refuse("--memory prefault=on", "Cloud Hypervisor would map every page before it has come",
                  "start it with prefault=off");
  }
  if (IsOn(At(vm_config, "balloon"), "free_page_reporting")) {
    return Refuse("--balloon free_page_reporting=on", "pages that it gives back are taken out of the memory file",
                  "start it with free_page_reporting=off");
  }
  return absl::OkStatus();
}

absl::Status CheckDevices(const Json& vm_config) {
  for (const char* const key : {"devices", "vdpa"}) {
    if (At(vm_config, key).empty()) continue;
    return Refuse(key == std::string_view("vdpa") ? "a vDPA device (--vdpa)" : "a device passed through (--device)",
                  "a device pins all memory and does not wait for a page that is missing",
                  "remove it before the guest is saved");
  }
  struct Backend {
    const char* option;
    bool there;
  };
  for (const Backend& backend : {Backend{"--fs", !At(vm_config, "fs").empty()},
                                 {"--user-device", !At(vm_config, "user_devices").empty()},
                                 {"--generic-vhost-user", !At(vm_config, "generic_vhost_user").empty()},
                                 {"--disk vhost_user=on", AnyIsOn(At(vm_config, "disks"), "vhost_user")},
                                 {"--net vhost_user=on", AnyIsOn(At(vm_config, "net"), "vhost_user")}}) {
    if (!backend.there) continue;
    return Refuse(fmt::format("a device in another process ({})", backend.option),
                  "that process maps the memory file itself and would not wait for a page that is missing",
                  "remove it before the guest is saved");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckVmConfig(const Json& vm_config) {
  absl::Status status = CheckMemory(vm_config);
  if (status.ok()) status = CheckDevices(vm_config);
  return status;
}

std::string WarningFor(const Json& vm_config) {
  const Json& method = At(At(vm_config, "memory"), "hotplug_method");
  if (method.is_string() && method.get<std::string>() == "VirtioMem") {
    return "the guest has memory that can be unplugged (--memory hotplug_method=virtio-mem): leave its size alone "
           "until "
           "the pager has ended, since a page that is taken out of the memory file may end the paging";
  }
  if (At(vm_config, "balloon").empty()) return "";
  return "the guest has a balloon (--balloon): leave its size alone until the pager has ended, since a page that is "
         "taken out of the memory file may end the paging";
}

}  // namespace farfault::cloud_hypervisor
