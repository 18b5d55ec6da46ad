#ifndef FARFAULT_LIB_CLI_PAGER_VM_CONFIG_H_
#define FARFAULT_LIB_CLI_PAGER_VM_CONFIG_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"

// What Cloud Hypervisor says of a guest (VmConfig in vmm/src/vm_config.rs), as far as paging has to know it.
namespace farfault::cloud_hypervisor {

/// kUnimplemented: the guest has something that would see its memory where it is not yet, or take it out of the file.
/// Names it, why, and what to do.
absl::Status CheckVmConfig(const nlohmann::json& vm_config);

/// What must not be done with this guest until all its pages are there; empty when there is nothing to say.
std::string WarningFor(const nlohmann::json& vm_config);

}  // namespace farfault::cloud_hypervisor

#endif  // FARFAULT_LIB_CLI_PAGER_VM_CONFIG_H_
